//! Formats the report as a table: laid out for a terminal, or in columns that a program can split
//! at two or more spaces.
//!
//! Every character is assumed to be one column wide.

use std::time::Duration;

use crate::demo::report::{Report, Row};
use crate::terminal::{Style, TerminalCaps};
use crate::time_format::format_duration;

type Line = Vec<(Style, String)>;

/// The columns, and the order in which they are dropped on a narrow terminal. 0 means never.
const COLUMNS: [(&str, u8); 7] = [
    ("resource", 0),
    ("header", 0),
    ("access", 2),
    ("life left", 3),
    ("from", 4),
    ("time", 1),
    ("response", 0),
];
/// Index of the resource.
const RESOURCE_COLUMN: usize = 0;
/// Index of the time, which is aligned to the right.
const TIME_COLUMN: usize = 5;
/// Index of the result.
const RESULT_COLUMN: usize = 6;
/// A column is dropped if the resource would otherwise be narrower than this.
const MIN_RESOURCE_WIDTH: usize = 22;
const COLUMN_GAP: usize = 2;

const TITLE: &str = "keyferry demo: every kind of token, with test services on this machine";
/// The paragraphs above the table on a terminal.
const INTRODUCTION: [&str; 2] = [
    "In each row, the demo program asks keyferry for a resource and calls the service with the header \
     that keyferry returns. The last column shows the service's response and whether it was expected.",
    "The column \"from\" shows where keyferry got the token, and \"time\" shows how long that took. \
     \"memory\" means that the token was cached: keyferry sent no request for it.",
];
/// The paragraph below the table on a terminal, if every row succeeded.
const NEXT_STEPS: &str = "Next: `keyferry sandbox` serves these test services to your own programs. \
     `keyferry login masv` and `keyferry login fileverbs` log in to your accounts.";

/// Returns the lines of the table.
pub(super) fn render(report: &Report, caps: TerminalCaps) -> Vec<Line> {
    if caps.is_terminal {
        TableLayout::new(report, caps).lines(report)
    } else {
        plain_lines(report)
    }
}

/// Returns plain columns for programs: a line of column names, one line per row, an empty line and
/// the summary. Fields never contain two spaces in a row.
fn plain_lines(report: &Report) -> Vec<Line> {
    let names = [
        "service",
        "resource",
        "header",
        "access",
        "life left",
        "from",
        "time",
        "call",
        "status",
        "result",
    ];
    let mut table = vec![names.map(str::to_owned)];
    for row in &report.rows {
        let [_, header, access, life_left, source, time, _] = cells(row, TerminalCaps::PLAIN);
        let status = row.status.map_or("-".into(), |status| status.to_string());
        let result = if row.ok { "ok" } else { "FAILED" };
        let (service, call) = (row.service.to_owned(), row.call.clone());
        table.push([
            service,
            row.resource.clone(),
            header,
            access,
            life_left,
            source,
            time,
            call,
            status,
            result.to_owned(),
        ]);
    }
    let widths: Vec<_> = (0..names.len())
        .map(|column| {
            table
                .iter()
                .map(|fields| fields[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let plain_line = |text: String| vec![(Style::Plain, text)];
    let pad_columns = |fields: &[String; 10]| {
        let padded = fields
            .iter()
            .zip(&widths)
            .map(|(field, width)| format!("{field:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let failed = report.rows.iter().filter(|row| !row.ok);
    let reasons = failed.map(|row| {
        format!(
            "FAILED {}: {}",
            row.resource,
            row.note.as_deref().unwrap_or_default()
        )
    });
    let body = table
        .iter()
        .map(pad_columns)
        .chain(reasons)
        .chain([String::new(), summary(report, TerminalCaps::PLAIN)]);
    body.map(plain_line).collect()
}

/// Returns the fields of a row, one for each column.
fn cells(row: &Row, caps: TerminalCaps) -> [String; 7] {
    let none = if caps.unicode { "–" } else { "-" };
    let or_none = |text: Option<&str>| text.unwrap_or(none).to_owned();
    let life_left = match row.life_left_s {
        Some(left) => format_duration(left),
        None if row.has_token() => "no expiry".into(),
        None => none.into(),
    };
    let mark = match (row.ok, caps.unicode) {
        (true, true) => "✓",
        (true, false) => "ok",
        (false, true) => "✗",
        (false, false) => "FAILED",
    };
    let result = row
        .status
        .map_or_else(|| mark.to_owned(), |status| format!("{mark} {status}"));
    let access = or_none(row.access);
    [
        shorten_resource(&row.resource, caps),
        or_none(row.header.as_deref()),
        access,
        life_left,
        row.source.into(),
        format_time(row.time, caps),
        result,
    ]
}

/// A table laid out for the width of a terminal.
struct TableLayout {
    caps: TerminalCaps,
    /// The shown columns and their widths.
    columns: Vec<(usize, usize)>,
    cells: Vec<[String; 7]>,
}

impl TableLayout {
    fn new(report: &Report, caps: TerminalCaps) -> Self {
        let cells: Vec<_> = report.rows.iter().map(|row| cells(row, caps)).collect();
        let width_of = |column: usize| {
            cells
                .iter()
                .map(|row| row[column].chars().count())
                .chain([COLUMNS[column].0.len()])
                .max()
                .unwrap_or(0)
        };
        let mut columns: Vec<_> = (0..COLUMNS.len())
            .map(|column| (column, width_of(column)))
            .collect();
        let available = caps.width;
        let others = |columns: &[(usize, usize)]| {
            columns
                .iter()
                .skip(1)
                .map(|(_, width)| width + COLUMN_GAP)
                .sum::<usize>()
        };
        while others(&columns) + MIN_RESOURCE_WIDTH > available {
            let Some(first) = columns
                .iter()
                .filter(|(column, _)| COLUMNS[*column].1 > 0)
                .min_by_key(|(column, _)| COLUMNS[*column].1)
                .copied()
            else {
                break;
            };
            columns.retain(|column| *column != first);
        }
        columns[RESOURCE_COLUMN].1 = columns[RESOURCE_COLUMN]
            .1
            .min(available.saturating_sub(others(&columns)).max(8));
        Self {
            caps,
            columns,
            cells,
        }
    }

    fn lines(&self, report: &Report) -> Vec<Line> {
        let paragraph = |style: Style, text: &str| -> Vec<Line> {
            wrap(text, self.caps.width)
                .into_iter()
                .map(|line| vec![(style, line)])
                .collect()
        };
        let mut lines = paragraph(Style::Strong, TITLE);
        for text in INTRODUCTION {
            lines.push(Vec::new());
            lines.extend(paragraph(Style::Plain, text));
        }
        lines.extend([
            Vec::new(),
            self.line(&COLUMNS.map(|(name, _)| name.to_owned()), |_| Style::Faint),
        ]);
        let mut service = "";
        for (row, cells) in report.rows.iter().zip(&self.cells) {
            if row.service != service {
                service = row.service;
                lines.push(self.rule(service));
            }
            let result = if row.ok { Style::Good } else { Style::Bad };
            lines.push(self.line(cells, |column| match column {
                RESULT_COLUMN => result,
                TIME_COLUMN => Style::Faint,
                _ => Style::Plain,
            }));
            lines.extend(self.note(row));
        }
        let style = if report.all_ok() {
            Style::Good
        } else {
            Style::Bad
        };
        lines.push(vec![(Style::Faint, self.dashes(self.width()))]);
        lines.extend(
            wrap(&summary(report, self.caps), self.caps.width)
                .into_iter()
                .map(|line| vec![(style, line)]),
        );
        if report.all_ok() {
            lines.push(Vec::new());
            lines.extend(paragraph(Style::Plain, NEXT_STEPS));
        }
        lines
    }

    fn width(&self) -> usize {
        let all: usize = self
            .columns
            .iter()
            .map(|(_, width)| width + COLUMN_GAP)
            .sum();
        all.saturating_sub(COLUMN_GAP).min(self.caps.width)
    }

    fn dashes(&self, count: usize) -> String {
        if self.caps.unicode { "─" } else { "-" }.repeat(count)
    }

    fn rule(&self, service: &str) -> Line {
        let rest = self.width().saturating_sub(service.len() + 4);
        vec![
            (Style::Faint, self.dashes(2) + " "),
            (Style::Strong, service.to_owned()),
            (Style::Faint, " ".to_owned() + &self.dashes(rest)),
        ]
    }

    fn line(&self, cells: &[String; 7], style: impl Fn(usize) -> Style) -> Line {
        let last = self.columns.last().map(|(column, _)| *column);
        let mut line = Vec::new();
        for (column, width) in &self.columns {
            let text = truncate_middle(&cells[*column], *width, self.caps);
            let padded = if *column == TIME_COLUMN {
                format!("{text:>width$}")
            } else {
                format!("{text:width$}")
            };
            let gap = if Some(*column) == last { 0 } else { COLUMN_GAP };
            line.extend([
                (style(*column), if gap == 0 { text } else { padded }),
                (Style::Plain, " ".repeat(gap)),
            ]);
        }
        line
    }

    fn note(&self, row: &Row) -> Vec<Line> {
        let Some(note) = &row.note else {
            return Vec::new();
        };
        let (lead, style) = (
            if self.caps.unicode { "  └ " } else { "  - " },
            if row.ok { Style::Faint } else { Style::Bad },
        );
        let lines = wrap(note, self.width().saturating_sub(lead.chars().count()));
        let indent = |number: usize| {
            if number == 0 {
                lead.to_owned()
            } else {
                " ".repeat(lead.chars().count())
            }
        };
        lines
            .into_iter()
            .enumerate()
            .map(|(number, line)| vec![(style, indent(number) + &line)])
            .collect()
    }
}

fn summary(report: &Report, caps: TerminalCaps) -> String {
    let worked = report.rows.iter().filter(|row| row.ok).count();
    let rows = if report.all_ok() {
        format!("{worked} rows, all succeeded")
    } else {
        format!("{worked} of {} rows succeeded", report.rows.len())
    };
    let (all, own) = (report.requests(), report.exchanges());
    let mut text = format!(
        "{rows} in {}: the services received {all} requests, {own} of them from keyferry, including {} logins",
        format_time(report.elapsed, caps),
        report.logins(),
    );
    if report.mistakes() > 0 {
        text += &format!(", and {} requests with a wrong header", report.mistakes());
    }
    text
}

/// Shortens a resource for people: removes the sandbox's host and all but the last characters of
/// long IDs.
fn shorten_resource(resource: &str, caps: TerminalCaps) -> String {
    let text = resource.strip_prefix("https://").unwrap_or(resource);
    let path = text.strip_prefix("http://").map_or(text, |local| {
        local.find('/').map_or(local, |index| &local[index..])
    });
    let ellipsis = if caps.unicode { "…" } else { ".." };
    let is_id = |segment: &str| {
        segment.len() >= 20
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let segment = |segment: &str| {
        if is_id(segment) {
            format!("{ellipsis}{}", &segment[segment.len() - 3..])
        } else {
            segment.to_owned()
        }
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Truncates a string in the middle if it is wider than `width`.
fn truncate_middle(text: &str, width: usize, caps: TerminalCaps) -> String {
    let characters: Vec<char> = text.chars().collect();
    let ellipsis = if caps.unicode { "…" } else { ".." };
    if characters.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(ellipsis.chars().count());
    let tail = kept / 2;
    characters[..kept - tail].iter().collect::<String>()
        + ellipsis
        + &characters[characters.len() - tail..]
            .iter()
            .collect::<String>()
}

/// Breaks a text into lines between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Formats a time with at most three digits before its unit.
fn format_time(time: Duration, caps: TerminalCaps) -> String {
    let micro = if caps.unicode { "µs" } else { "us" };
    match time.as_nanos() {
        nanos @ ..1_000 => format!("{nanos} ns"),
        nanos @ ..1_000_000 => format!("{} {micro}", nanos / 1000),
        nanos @ ..1_000_000_000 => format!("{}.{} ms", nanos / 1_000_000, nanos / 100_000 % 10),
        nanos => format!(
            "{}.{:02} s",
            nanos / 1_000_000_000,
            nanos / 10_000_000 % 100
        ),
    }
}
