//! Finds the name that a misspelt name probably stands for, for error messages.

/// The longest text that is compared with names.
const MAX_COMPARED_BYTES: usize = 128;

/// Returns the name in `names` that was probably meant by `name`. `None` if every name needs too many
/// edits: more than a third of its length, at most 3 for names shorter than 16 bytes.
pub fn nearest_name<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let meant = names
        .iter()
        .filter_map(|meant| Some((typos(name, meant, meant.len())?, *meant)));
    meant
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, meant)| meant)
}

/// Returns the question about the nearest name for an error message, with a blank after it. An empty
/// string if there is no such name.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("did you mean {name}? "))
}

/// Returns the number of typing mistakes in `text` if `meant` was meant. `None` if they are too many
/// for `fixed_bytes`, the length of `meant` without its IDs.
pub(super) fn typos(text: &str, meant: &str, fixed_bytes: usize) -> Option<usize> {
    if text.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let [text, meant] = [text, meant].map(str::to_ascii_lowercase);
    let typos = edit_distance(text.as_bytes(), meant.as_bytes());
    let limit = ((fixed_bytes + 1) / 3).clamp(1, 3).max(fixed_bytes / 4);
    (typos <= limit).then_some(typos)
}

/// Returns the number of bytes that are missing, extra, wrong or swapped with their neighbour.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (at, byte) in left.iter().enumerate() {
        let mut row = vec![at + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(byte != other);
            let mut cost = replaced.min(last[column + 1] + 1).min(row[column] + 1);
            if at > 0 && column > 0 && *byte == right[column - 1] && left[at - 1] == *other {
                cost = cost.min(before_last[column - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_a_missing_extra_wrong_or_swapped_byte() {
        for (left, right, expected) in [
            ("", "", 0),
            ("user", "user", 0),
            ("", "user", 4),
            ("user", "", 4),
            ("usr", "user", 1),
            ("usser", "user", 1),
            ("uxer", "user", 1),
            ("uesr", "user", 1),
            ("esur", "user", 2),
            ("pacakges", "packages", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(
                edit_distance(left.as_bytes(), right.as_bytes()),
                expected,
                "{left} {right}"
            );
        }
    }

    #[test]
    fn a_short_word_may_have_fewer_typing_mistakes() {
        let names = ["masv", "agent", "fileverbs"];
        for (name, meant) in [
            ("MASV", Some("masv")),
            ("msv", Some("masv")),
            ("mxxv", None),
            ("agetn", Some("agent")),
            ("filevebr", Some("fileverbs")),
            ("files", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(name, &names), meant, "{name}");
        }
        let long = "masv".repeat(MAX_COMPARED_BYTES);
        assert_eq!(nearest_name(&long, &[&long]), None);
    }
}
