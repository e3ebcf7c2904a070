//! Computes when a token should be refreshed.

use std::time::Duration;

use crate::engine::cache::entry::RefreshTimes;
use crate::model::token::{NO_EXPIRY, TokenMeta};

const SECOND_US: i64 = 1_000_000;

/// Returns the refresh times of a token that was acquired at `meta.acquired_us`. `jitter` is 0 to
/// 255.
///
/// - Mandatory: callers wait for a refresh in the last 5 % of the token's lifetime. This window is
///   10 to 60 s, but at most a quarter of the lifetime.
/// - Advisory: a refresh is advisable in the last 20 % of the lifetime. This window is 1 minute to
///   1 hour, but at most half of the lifetime. Jitter changes it by up to a tenth in either
///   direction.
pub fn windows(meta: &TokenMeta, jitter: u8) -> RefreshTimes {
    let expires = meta.expires_us;
    if expires == NO_EXPIRY {
        return RefreshTimes {
            advisory_us: NO_EXPIRY,
            mandatory_us: NO_EXPIRY,
        };
    }
    let life = (expires - meta.acquired_us).max(0);
    let mandatory = (life / 20)
        .clamp(10 * SECOND_US, 60 * SECOND_US)
        .min(life / 4);
    let advisory = (life / 5)
        .clamp(60 * SECOND_US, 3600 * SECOND_US)
        .min(life / 2);
    let spread = advisory / 5 * i64::from(jitter) / 255 - advisory / 10;
    RefreshTimes {
        advisory_us: expires - (advisory + spread).max(mandatory),
        mandatory_us: expires - mandatory,
    }
}

/// Returns whether a token stays valid for as long as the caller needs it. If the caller needs it
/// for longer than its whole lifetime, half of the lifetime is enough.
pub fn lasts(meta: &TokenMeta, min_valid: Duration, now_us: i64) -> bool {
    if meta.expires_us == NO_EXPIRY || min_valid.is_zero() {
        return true;
    }
    let wanted = i64::try_from(min_valid.as_micros()).unwrap_or(i64::MAX);
    let life = meta.expires_us - meta.acquired_us;
    let wanted = if wanted > life { life / 2 } else { wanted };
    meta.expires_us - now_us >= wanted
}

/// Returns whether a token was acquired within the last `max_age`. A token whose time of acquisition
/// is in the future is too old, because the clock was set back since.
pub fn is_recent(meta: &TokenMeta, max_age: Option<Duration>, now_us: i64) -> bool {
    let Some(max_age) = max_age else {
        return true;
    };
    let max_us = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
    (0..=max_us).contains(&now_us.saturating_sub(meta.acquired_us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Access, ResourceKind};
    use crate::model::token::TokenKind;

    fn meta(life_s: i64) -> TokenMeta {
        TokenMeta {
            scope: 0,
            resource_kind: ResourceKind::User,
            access: Access::Full,
            kind: TokenKind::User,
            generation: 1,
            expires_us: life_s * SECOND_US,
            acquired_us: 0,
        }
    }

    #[test]
    fn windows_follow_the_life_of_the_token() {
        // In seconds: the lifetime, the mandatory window, and the advisory window without jitter.
        let table = [
            (8, 2, 4),
            (40, 10, 20),
            (120, 10, 60),
            (900, 45, 180),
            (7200, 60, 1440),
            (345_600, 60, 3600),
        ];
        for (life, mandatory, advisory) in table {
            let times = windows(&meta(life), 127);
            assert_eq!(
                times.mandatory_us,
                (life - mandatory) * SECOND_US,
                "life {life}"
            );
            let off = times.advisory_us - (life - advisory) * SECOND_US;
            assert!(off.abs() < advisory * SECOND_US / 100, "life {life}: {off}");
        }
    }

    #[test]
    fn jitter_spreads_by_a_tenth_and_keeps_the_order() {
        for life in [1, 8, 900, 345_600] {
            let (early, late) = (windows(&meta(life), 255), windows(&meta(life), 0));
            assert!(
                early.advisory_us <= late.advisory_us
                    && late.advisory_us <= late.mandatory_us
                    && late.mandatory_us <= life * SECOND_US
            );
        }
        let spread = windows(&meta(900), 0).advisory_us - windows(&meta(900), 255).advisory_us;
        assert_eq!(spread, 36 * SECOND_US);
    }

    #[test]
    fn a_wish_beyond_the_whole_life_asks_for_half_of_it() {
        let lasts = |min, now| lasts(&meta(900), Duration::from_secs(min), now * SECOND_US);
        assert!(lasts(0, 899) && lasts(800, 100) && !lasts(800, 101));
        assert!(lasts(3600, 450) && !lasts(3600, 451));
    }

    #[test]
    fn a_token_is_recent_for_its_first_seconds_only() {
        let recent =
            |now_s: i64| is_recent(&meta(900), Some(Duration::from_secs(10)), now_s * SECOND_US);
        assert!(recent(0) && recent(10) && !recent(11) && !recent(-1));
        assert!(is_recent(&meta(900), None, -1));
    }
}
