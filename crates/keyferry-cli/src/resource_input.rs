//! Reads the resource of a command from its argument or from standard input.

use std::io::{BufRead, BufReader, Read};

use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::resource::MAX_BYTES;

/// Returns the resource as typed. If it is `-`, returns the first line of standard input.
///
/// # Errors
/// [`ErrorKind::InvalidResource`] if standard input cannot be read.
pub fn read_resource(typed: &str, stdin: &mut dyn Read) -> Result<String> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut line = String::new();
    let read = BufReader::new(stdin.take(MAX_BYTES as u64 + 2)).read_line(&mut line);
    read.map_err(|_| {
        Error::new(
            ErrorKind::InvalidResource,
            "cannot read the resource from standard input; write it as one line of UTF-8",
        )
    })?;
    Ok(line.strip_suffix('\n').unwrap_or(&line).to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_one_line() {
        let read = |text: &str| read_resource("-", &mut text.as_bytes()).unwrap();
        assert_eq!(
            (read("links/a?secret=b\nmore"), read("user"), read("a\r\n")),
            ("links/a?secret=b".into(), "user".into(), "a\r".into())
        );
        assert_eq!(read_resource("user", &mut &b"other"[..]).unwrap(), "user");
    }
}
