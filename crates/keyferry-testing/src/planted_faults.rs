//! The promises of SECURITY.md, from `tests/planted_faults.toml`: each with the test that holds it,
//! and with a fault that makes this test fail.

use toml::{Table, Value};

use crate::files;

/// A promise, its test, and a fault that the test notices.
pub struct PlantedFault {
    pub name: String,
    promise: String,
    number: String,
    /// `PACKAGE TARGET NAME`, where the target of the unit tests is `lib`. Or `$ ` and a shell
    /// command.
    pub test: String,
    /// A text in the output of the shell command if the command has noticed the fault.
    pub sign: Option<String>,
    fault: String,
    /// The path of the file that gets the fault.
    pub file: String,
    /// The code that is replaced. It is in the file once.
    find: String,
    replace: String,
}

/// Reads all planted faults.
pub fn planted_faults() -> Vec<PlantedFault> {
    let text = std::fs::read_to_string(files::file("tests/planted_faults.toml")).unwrap();
    let file: Table = text.parse().unwrap();
    let read = |fields: &Value| {
        let text = |key: &str| fields[key].as_str().unwrap().to_owned();
        PlantedFault {
            name: text("name"),
            promise: text("promise"),
            number: text("number"),
            test: text("test"),
            sign: fields.get("sign").map(|_| text("sign")),
            fault: text("fault"),
            file: text("file"),
            find: text("find"),
            replace: text("replace"),
        }
    };
    file["fault"].as_array().unwrap().iter().map(read).collect()
}

/// Returns the table of SECURITY.md.
pub fn table(faults: &[PlantedFault]) -> String {
    let row = |fault: &PlantedFault| {
        let PlantedFault {
            name,
            promise,
            number,
            test,
            fault,
            ..
        } = fault;
        format!("| {promise} | {number} | `{test}` | `{name}`: {fault} |\n")
    };
    let rows: String = faults.iter().map(row).collect();
    format!(
        "| promise | number | test (package, target, name) or command | planted fault |\n|---|---|---|---|\n{rows}"
    )
}

impl PlantedFault {
    /// Returns the content of the file with the fault.
    ///
    /// # Errors
    /// The code that is replaced is not in the file, or more than once.
    pub fn planted_in(&self, sound: &str) -> Result<String, String> {
        match sound.matches(&self.find).count() {
            1 => Ok(sound.replace(&self.find, &self.replace)),
            count => Err(format!(
                "{} has the code that {} replaces {count} times, instead of once",
                self.file, self.name
            )),
        }
    }

    /// Returns the shell command, if the test is one.
    pub fn shell_command(&self) -> Option<&str> {
        self.test.strip_prefix("$ ")
    }

    /// Returns the arguments of `cargo test` that run the test alone.
    pub fn cargo_arguments(&self) -> Vec<&str> {
        let mut words = self.test.split(' ');
        let mut word = || words.next().unwrap();
        let (package, target, name) = (word(), word(), word());
        let target = match target {
            "lib" => vec!["--lib"],
            target => vec!["--test", target],
        };
        [
            vec!["-p", package],
            target,
            vec!["--", "--exact", "--include-ignored", name],
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn each_fault_can_be_planted_and_its_test_exists() {
        for fault in planted_faults() {
            let sound = std::fs::read_to_string(files::file(&fault.file)).unwrap();
            fault.planted_in(&sound).unwrap();
            assert_eq!(fault.shell_command().is_some(), fault.sign.is_some());
            if fault.shell_command().is_some() {
                continue;
            }
            let name = fault.test.rsplit([' ', ':']).next().unwrap();
            let found = Command::new("grep")
                .args(["-rqw", &format!("fn {name}")])
                .args(["src", "tests", "crates"].map(files::file))
                .status();
            assert!(found.unwrap().success(), "there is no test {name}");
        }
    }

    #[test]
    fn the_table_of_the_security_page_has_each_fault() {
        let path = files::file("SECURITY.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let start = page.find("| promise |").unwrap();
        let end = page[start..]
            .find("\n\n")
            .map_or(page.len(), |len| start + len + 1);
        let expected = table(&planted_faults());
        if std::env::var_os("KEYFERRY_UPDATE").is_some() {
            let updated = [&page[..start], &expected, &page[end..]].concat();
            std::fs::write(&path, updated).unwrap();
            return;
        }
        assert_eq!(
            &page[start..end],
            expected,
            "set KEYFERRY_UPDATE=1 to write the table"
        );
    }
}
