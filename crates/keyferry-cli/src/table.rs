//! A table that people can read at a terminal and programs can split at two or more spaces.
//!
//! Fields never contain two spaces in a row, and are never truncated.

use std::io;

use crate::terminal::{Output, Style};

/// Column names and rows.
pub struct Table {
    names: Vec<&'static str>,
    rows: Vec<Vec<(Style, String)>>,
}

const COLUMN_GAP: usize = 2;

impl Table {
    /// Creates a table without rows.
    pub fn new(names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with one field for each column.
    pub fn add_row<const N: usize>(&mut self, fields: [(Style, String); N]) {
        let normalize = |(style, text): (Style, String)| {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            (
                style,
                if text.is_empty() {
                    "-".to_owned()
                } else {
                    text
                },
            )
        };
        self.rows.push(fields.into_iter().map(normalize).collect());
    }

    /// Writes the table.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write(&self, output: &mut Output<'_>) -> io::Result<()> {
        let names: Vec<_> = self
            .names
            .iter()
            .map(|name| (Style::Faint, (*name).to_owned()))
            .collect();
        let width_of = |column: usize| {
            self.rows
                .iter()
                .chain([&names])
                .map(|row| row[column].1.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.names.len()).map(width_of).collect();
        let line = |row: &Vec<(Style, String)>| {
            let last = row.len().saturating_sub(1);
            let pad = |column: usize, text: &str| {
                if column == last {
                    0
                } else {
                    widths[column] + COLUMN_GAP - text.chars().count()
                }
            };
            let fields = row.iter().enumerate();
            fields
                .flat_map(|(column, (style, text))| {
                    [
                        (*style, text.clone()),
                        (Style::Plain, " ".repeat(pad(column, text))),
                    ]
                })
                .collect()
        };
        output.write_styled_lines(
            &[&names]
                .into_iter()
                .chain(&self.rows)
                .map(line)
                .collect::<Vec<_>>(),
        )
    }
}

/// Returns a cell without a style.
pub fn plain_cell(text: impl Into<String>) -> (Style, String) {
    (Style::Plain, text.into())
}
