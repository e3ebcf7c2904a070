//! A table that people can read at a terminal and programs can split at two or more spaces.
//!
//! At a terminal, fields wrap so that no line is wider than the terminal. In a pipe, each row is one
//! line. Fields never contain two spaces in a row. They are never truncated, except by
//! [`Table::fit`]. Every character is assumed to be one column wide.

use std::io;

use crate::terminal::{Output, Style, StyledLine, TerminalCaps};

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column {
    name: &'static str,
    /// Columns with low numbers are dropped first. 0 means never.
    drop_order: u8,
    is_right_aligned: bool,
}

impl Column {
    /// Creates a column that is aligned to the left and never dropped.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            drop_order: 0,
            is_right_aligned: false,
        }
    }

    /// Lets [`Table::fit`] drop the column. Columns with low numbers are dropped first.
    pub const fn drop_order(self, drop_order: u8) -> Self {
        Self { drop_order, ..self }
    }

    /// Aligns the column to the right.
    pub const fn right_aligned(self) -> Self {
        Self {
            is_right_aligned: true,
            ..self
        }
    }
}

/// Columns and rows.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(Style, String)>>,
}

const COLUMN_GAP: usize = 2;

impl Table {
    /// Creates a table without rows from the names of its columns.
    pub fn new(names: &[&'static str]) -> Self {
        Self::with_columns(names.iter().map(|name| Column::new(name)))
    }

    /// Creates a table without rows.
    pub fn with_columns(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
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

    /// Fits the table into the width of a terminal: drops columns until at least `min_first_width`
    /// is left for the first column, then truncates that column's fields in the middle.
    pub fn fit(&mut self, caps: TerminalCaps, min_first_width: usize) {
        while self.width_without_first() + min_first_width > caps.width {
            let droppable = self.columns.iter().enumerate();
            let next = droppable
                .filter(|(_, column)| column.drop_order > 0)
                .min_by_key(|(_, column)| column.drop_order);
            let Some((index, _)) = next else {
                break;
            };
            self.columns.remove(index);
            self.rows.iter_mut().for_each(|row| drop(row.remove(index)));
        }
        let first_width = caps
            .width
            .saturating_sub(self.width_without_first())
            .max(MIN_TRUNCATED_WIDTH);
        for (_, text) in self.rows.iter_mut().filter_map(|row| row.first_mut()) {
            *text = truncate_middle(text, first_width, caps);
        }
    }

    /// Returns the width of the widest line.
    pub fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + COLUMN_GAP * widths.len().saturating_sub(1)
    }

    /// Returns the lines: the names of the columns, then one line per row.
    pub fn lines(&self) -> Vec<StyledLine> {
        let widths = self.widths();
        let names = self
            .columns
            .iter()
            .map(|column| (Style::Faint, column.name.to_owned()))
            .collect();
        [&names]
            .into_iter()
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    /// Returns the lines with fields wrapped, so that no line is wider than `width`.
    fn wrapped_lines(&self, width: usize) -> Vec<StyledLine> {
        let widths = self.wrapped_widths(width);
        let names = self.columns.iter().map(|column| column.name.to_owned());
        let names = names.map(|name| (Style::Faint, name)).collect();
        let rows = [&names].into_iter().chain(&self.rows);
        rows.flat_map(|row| self.wrapped_row(row, &widths))
            .collect()
    }

    /// Returns the widths of the columns, made narrower until the table fits: always the widest
    /// column. The first column becomes narrower only if that is not enough, and no column becomes
    /// narrower than its name as long as possible.
    fn wrapped_widths(&self, width: usize) -> Vec<usize> {
        let mut widths = self.widths();
        let names = self.columns.iter().map(|column| column.name.len());
        let limits: Vec<_> = names.map(|name| name.max(MIN_TRUNCATED_WIDTH)).collect();
        let mut first_limits = limits.clone();
        first_limits[..1].copy_from_slice(&widths[..1]);
        let last_limits = vec![MIN_WRAPPED_WIDTH; widths.len()];
        let gaps = COLUMN_GAP * widths.len().saturating_sub(1);
        for limits in [first_limits, limits, last_limits] {
            while widths.iter().sum::<usize>() + gaps > width {
                let wide = (0..widths.len()).filter(|index| widths[*index] > limits[*index]);
                let Some(widest) = wide.max_by_key(|index| widths[*index]) else {
                    break;
                };
                widths[widest] -= 1;
            }
        }
        widths
    }

    fn wrapped_row(&self, row: &[(Style, String)], widths: &[usize]) -> Vec<StyledLine> {
        let fields: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|((_, text), width)| wrap(text, *width))
            .collect();
        let height = fields.iter().map(Vec::len).max().unwrap_or(0);
        let line = |number: usize| {
            let parts = row.iter().zip(&fields).map(|((style, _), field)| {
                (*style, field.get(number).cloned().unwrap_or_default())
            });
            let mut line = self.line(&parts.collect::<Vec<_>>(), widths);
            while line.last().is_some_and(|(_, text)| text.trim().is_empty()) {
                line.pop();
            }
            line
        };
        (0..height).map(line).collect()
    }

    /// Writes the table.
    ///
    /// # Errors
    /// Returns the errors of the stream.
    pub fn write(&self, output: &mut Output<'_>) -> io::Result<()> {
        let caps = output.caps();
        let lines = if caps.is_terminal {
            self.wrapped_lines(caps.width)
        } else {
            self.lines()
        };
        output.write_styled_lines(&lines)
    }

    fn widths(&self) -> Vec<usize> {
        let width_of = |(index, column): (usize, &Column)| {
            let fields = self.rows.iter().map(|row| row[index].1.chars().count());
            fields
                .chain([column.name.chars().count()])
                .max()
                .unwrap_or(0)
        };
        self.columns.iter().enumerate().map(width_of).collect()
    }

    fn width_without_first(&self) -> usize {
        let widths = self.widths();
        widths.iter().skip(1).map(|width| width + COLUMN_GAP).sum()
    }

    fn line(&self, row: &[(Style, String)], widths: &[usize]) -> StyledLine {
        let last = row.len().saturating_sub(1);
        let mut line = Vec::new();
        for (index, (style, text)) in row.iter().enumerate() {
            let padding = widths[index] - text.chars().count();
            let (before, after) = if self.columns[index].is_right_aligned {
                (padding, 0)
            } else {
                (0, padding)
            };
            let gap = if index == last { 0 } else { after + COLUMN_GAP };
            line.extend([
                (Style::Plain, " ".repeat(before)),
                (*style, text.clone()),
                (Style::Plain, " ".repeat(gap)),
            ]);
        }
        line
    }
}

/// The minimum width to which fields are truncated.
const MIN_TRUNCATED_WIDTH: usize = 8;
/// The minimum width to which fields are wrapped.
const MIN_WRAPPED_WIDTH: usize = 4;

/// Splits a field into lines of at most `width` characters: between words, and within a word that is
/// longer than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let chars = |text: &str| text.chars().count();
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && chars(&line) + 1 + chars(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        while chars(&line) > width {
            let rest = line.split_off(break_position(&line, width));
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    lines.push(line);
    lines
}

/// Returns where to break a word that is longer than `width`: after its last `/`, `,`, `-` or `_`,
/// unless that would leave the line half empty.
fn break_position(word: &str, width: usize) -> usize {
    let end = word.char_indices().nth(width);
    let end = end.map_or(word.len(), |(index, _)| index);
    let separator = word[..end].rfind(['/', ',', '-', '_']);
    let after = separator.map(|index| index + 1);
    after.filter(|index| *index > end / 2).unwrap_or(end)
}

/// Truncates a string in the middle if it is wider than `width`.
fn truncate_middle(text: &str, width: usize, caps: TerminalCaps) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let ellipsis = caps.ellipsis();
    let kept = width.saturating_sub(ellipsis.chars().count());
    let tail = kept / 2;
    characters[..kept - tail].iter().collect::<String>()
        + ellipsis
        + &characters[characters.len() - tail..]
            .iter()
            .collect::<String>()
}

/// Returns a cell without a style.
pub fn plain_cell(text: impl Into<String>) -> (Style, String) {
    (Style::Plain, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("name"),
        Column::new("size").right_aligned().drop_order(2),
        Column::new("age").drop_order(1),
        Column::new("state"),
    ];

    fn lines(table: &Table) -> Vec<String> {
        let text = |line: StyledLine| line.into_iter().map(|(_, part)| part).collect();
        table.lines().into_iter().map(text).collect()
    }

    fn table() -> Table {
        let mut table = Table::with_columns(COLUMNS);
        table.add_row(["a-long-name", "7", "1 d", "ok"].map(plain_cell));
        table.add_row(["b", "1000", "", "two  words"].map(plain_cell));
        table
    }

    fn fitted(width: usize, unicode: bool) -> Table {
        let mut table = table();
        let caps = TerminalCaps {
            width,
            unicode,
            ..TerminalCaps::PLAIN
        };
        table.fit(caps, 10);
        table
    }

    #[test]
    fn columns_are_aligned_and_the_last_is_not_padded() {
        assert_eq!(
            lines(&table()),
            [
                "name         size  age  state",
                "a-long-name     7  1 d  ok",
                "b            1000  -    two words",
            ]
        );
        assert_eq!(table().width(), 33);
    }

    #[test]
    fn a_narrow_table_loses_columns_in_their_order_before_its_names_are_cut() {
        for (width, unicode, header, row) in [
            (
                33,
                true,
                "name         size  age  state",
                "a-long-name     7  1 d  ok",
            ),
            (
                32,
                true,
                "name        size  age  state",
                "a-lon…name     7  1 d  ok",
            ),
            (
                31,
                true,
                "name         size  state",
                "a-long-name     7  ok",
            ),
            (26, true, "name         state", "a-long-name  ok"),
            (21, true, "name        state", "a-lon…name  ok"),
            (21, false, "name        state", "a-lo..name  ok"),
            (1, true, "name      state", "a-lo…ame  ok"),
        ] {
            let table = fitted(width, unicode);
            assert_eq!(lines(&table)[..2], [header, row], "{width}");
            assert!(table.width() <= width.max(19), "{width}");
        }
    }

    #[test]
    fn a_terminals_lines_are_never_wider_and_lose_no_text() {
        let mut table = Table::new(&["key", "value", "from"]);
        table.add_row(
            [
                "http.timeout_ms",
                "30000",
                "the file /home/someone/.config/keyferry/config.toml",
            ]
            .map(plain_cell),
        );
        table.add_row(["a", "a-very-long-value-without-blanks", "b"].map(plain_cell));
        let text = |lines: Vec<StyledLine>| -> Vec<String> {
            let line = |line: StyledLine| line.into_iter().map(|(_, part)| part).collect();
            lines.into_iter().map(line).collect()
        };
        for width in [24, 40, 60, 80, 200] {
            let lines = text(table.wrapped_lines(width));
            let widest = lines.iter().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{width}: {lines:#?}");
            assert!(lines.iter().all(|line| !line.ends_with(' ')), "{lines:#?}");
            let characters = |lines: &[String]| {
                let mut all: Vec<char> = lines.concat().replace(' ', "").chars().collect();
                all.sort_unstable();
                all
            };
            let unwrapped = text(table.lines());
            assert_eq!(characters(&lines), characters(&unwrapped), "{width}");
        }
        assert_eq!(
            text(table.wrapped_lines(60)),
            [
                "key              value                  from",
                "http.timeout_ms  30000                  the file",
                "                                        /home/someone/",
                "                                        .config/keyferry/",
                "                                        config.toml",
                "a                a-very-long-value-     b",
                "                 without-blanks",
            ]
        );
    }

    #[test]
    fn a_long_word_breaks_after_a_separator_or_at_the_end_of_the_line() {
        for (text, width, lines) in [
            ("one two", 7, &["one two"][..]),
            ("one two", 6, &["one", "two"]),
            ("/home/user", 8, &["/home/", "user"]),
            ("x/abcdefghij", 6, &["x/abcd", "efghij"]),
            ("a äöüäöü", 4, &["a", "äöüä", "öü"]),
            ("", 4, &[""]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text} {width}");
        }
    }
}
