//! Renders the report: a table for the width of a terminal, or columns that a program can split at
//! two or more spaces.

use std::time::Duration;

use crate::demo::report::{Report, Row};
use crate::table::{Column, Table, plain_cell};
use crate::terminal::{Style, StyledLine, TerminalCaps};
use crate::time_format::format_duration;

/// The columns at a terminal.
const COLUMNS: [Column; 7] = [
    Column::new("resource"),
    Column::new("header"),
    Column::new("access").drop_order(2),
    Column::new("life left").drop_order(3),
    Column::new("from").drop_order(4),
    Column::new("time").drop_order(1).right_aligned(),
    Column::new("response"),
];
/// The columns in a pipe.
const PLAIN_COLUMNS: [&str; 10] = [
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
/// A column is dropped if the resource would otherwise be narrower than this.
const MIN_RESOURCE_WIDTH: usize = 22;

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

/// Returns the lines of the report.
pub(super) fn render(report: &Report, caps: TerminalCaps) -> Vec<StyledLine> {
    if caps.is_terminal {
        TerminalLayout::new(report, caps).lines(report)
    } else {
        plain_lines(report)
    }
}

/// Returns plain columns for programs: a line of column names, one line per row, an empty line and
/// the summary. Fields never contain two spaces in a row.
fn plain_lines(report: &Report) -> Vec<StyledLine> {
    let mut table = Table::new(&PLAIN_COLUMNS);
    for row in &report.rows {
        let [header, access, life_left, source, time] = token_cells(row, TerminalCaps::PLAIN);
        let status = row.status.map_or("-".into(), |status| status.to_string());
        let result = if row.ok { "ok" } else { "FAILED" };
        let fields = [
            row.service.to_owned(),
            row.resource.clone(),
            header,
            access,
            life_left,
            source,
            time,
            row.call.clone(),
            status,
            result.to_owned(),
        ];
        table.add_row(fields.map(plain_cell));
    }
    let mut lines = table.lines();
    for row in report.rows.iter().filter(|row| !row.ok) {
        let reason = row.note.as_deref().unwrap_or_default();
        lines.push(vec![plain_cell(format!(
            "FAILED {}: {reason}",
            row.resource
        ))]);
    }
    lines.push(Vec::new());
    lines.push(vec![plain_cell(summary(report, TerminalCaps::PLAIN))]);
    lines
}

/// Returns the fields about a row's token: header, access, life left, source and time.
fn token_cells(row: &Row, caps: TerminalCaps) -> [String; 5] {
    let none = if caps.unicode { "–" } else { "-" };
    let or_none = |text: Option<&str>| text.unwrap_or(none).to_owned();
    let life_left = match row.life_left_s {
        Some(left) => format_duration(left),
        None if row.has_token() => "no expiry".into(),
        None => none.into(),
    };
    [
        or_none(row.header.as_deref()),
        or_none(row.access),
        life_left,
        row.source.into(),
        format_time(row.time, caps),
    ]
}

/// Returns whether a row succeeded, and the status of its call.
fn result_cell(row: &Row, caps: TerminalCaps) -> (Style, String) {
    let (style, mark) = match (row.ok, caps.unicode) {
        (true, true) => (Style::Good, "✓"),
        (true, false) => (Style::Good, "ok"),
        (false, true) => (Style::Bad, "✗"),
        (false, false) => (Style::Bad, "FAILED"),
    };
    let text = row
        .status
        .map_or_else(|| mark.to_owned(), |status| format!("{mark} {status}"));
    (style, text)
}

/// The report at a terminal: a table with a heading for each service and a note under each row.
struct TerminalLayout {
    caps: TerminalCaps,
    table: Table,
}

impl TerminalLayout {
    fn new(report: &Report, caps: TerminalCaps) -> Self {
        let mut table = Table::with_columns(COLUMNS);
        for row in &report.rows {
            let [header, access, life_left, source, time] = token_cells(row, caps);
            table.add_row([
                plain_cell(shorten_resource(&row.resource, caps)),
                plain_cell(header),
                plain_cell(access),
                plain_cell(life_left),
                plain_cell(source),
                (Style::Faint, time),
                result_cell(row, caps),
            ]);
        }
        table.fit(caps, MIN_RESOURCE_WIDTH);
        Self { caps, table }
    }

    fn lines(&self, report: &Report) -> Vec<StyledLine> {
        let mut lines = self.paragraph(Style::Strong, TITLE);
        for text in INTRODUCTION {
            lines.push(Vec::new());
            lines.extend(self.paragraph(Style::Plain, text));
        }
        lines.push(Vec::new());
        let mut table_lines = self.table.lines().into_iter();
        lines.extend(table_lines.next());
        let mut service = "";
        for (row, line) in report.rows.iter().zip(table_lines) {
            if row.service != service {
                service = row.service;
                lines.push(self.heading(service));
            }
            lines.push(line);
            lines.extend(self.note(row));
        }
        let style = if report.all_ok() {
            Style::Good
        } else {
            Style::Bad
        };
        lines.push(vec![(Style::Faint, self.dashes(self.width()))]);
        lines.extend(self.paragraph(style, &summary(report, self.caps)));
        if report.all_ok() {
            lines.push(Vec::new());
            lines.extend(self.paragraph(Style::Plain, NEXT_STEPS));
        }
        lines
    }

    fn paragraph(&self, style: Style, text: &str) -> Vec<StyledLine> {
        let lines = wrap(text, self.caps.width).into_iter();
        lines.map(|line| vec![(style, line)]).collect()
    }

    fn width(&self) -> usize {
        self.table.width().min(self.caps.width)
    }

    fn dashes(&self, count: usize) -> String {
        if self.caps.unicode { "─" } else { "-" }.repeat(count)
    }

    fn heading(&self, service: &str) -> StyledLine {
        let rest = self.width().saturating_sub(service.len() + 4);
        vec![
            (Style::Faint, self.dashes(2) + " "),
            (Style::Strong, service.to_owned()),
            (Style::Faint, " ".to_owned() + &self.dashes(rest)),
        ]
    }

    fn note(&self, row: &Row) -> Vec<StyledLine> {
        let Some(note) = &row.note else {
            return Vec::new();
        };
        let (lead, style) = (
            if self.caps.unicode { "  └ " } else { "  - " },
            if row.ok { Style::Faint } else { Style::Bad },
        );
        let lead_width = lead.chars().count();
        let indents =
            std::iter::once(lead.to_owned()).chain(std::iter::repeat(" ".repeat(lead_width)));
        let lines = wrap(note, self.width().saturating_sub(lead_width));
        indents
            .zip(lines)
            .map(|(indent, line)| vec![(style, indent + &line)])
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
    let ellipsis = caps.ellipsis();
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
