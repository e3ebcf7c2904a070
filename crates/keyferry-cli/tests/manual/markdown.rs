//! Turns the Markdown of `docs/` into the language of manual pages, as far as those pages use it:
//! headings, paragraphs, lists, tables, blocks of code, and code, links and strong text in lines.

/// Returns the sections with these headings, each with everything up to the next heading of its
/// level.
pub(crate) fn sections(text: &str, headings: &[&str]) -> String {
    let mut found = String::new();
    for heading in headings {
        let title = format!("## {heading}\n");
        let (_, rest) = text
            .split_once(&title)
            .unwrap_or_else(|| panic!("no {title}"));
        found += &title;
        found += rest.split("\n## ").next().unwrap();
        found += "\n";
    }
    found
}

/// Returns Markdown as the source of a manual page.
pub(crate) fn to_roff(markdown: &str) -> String {
    let mut roff = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        let is_table = |line: &str| line.starts_with('|');
        if line.trim().is_empty() || line.starts_with("# ") {
        } else if let Some(heading) = line.strip_prefix("## ") {
            roff += &format!(".SH {}\n", inline(&heading.to_uppercase()));
        } else if let Some(heading) = line.strip_prefix("### ") {
            roff += &format!(".SS {}\n", inline(heading));
        } else if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            roff += &code_block(code);
        } else if is_table(line) {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| is_table(line)) {
                rows.push(cells(row));
            }
            roff += &table(&rows);
        } else {
            let mut paragraph = line.to_owned();
            let continues = |line: &&str| !line.trim().is_empty() && !is_item(line);
            while let Some(more) = lines.next_if(continues) {
                paragraph += " ";
                paragraph += more.trim();
            }
            roff += &paragraph_or_item(&paragraph);
        }
    }
    without_empty_paragraphs(&roff)
}

/// A heading begins a paragraph itself.
fn without_empty_paragraphs(roff: &str) -> String {
    let mut text = String::new();
    let mut is_after_heading = true;
    for line in roff.lines() {
        if line != ".PP" || !is_after_heading {
            text += line;
            text.push('\n');
        }
        is_after_heading = line.starts_with(".SH") || line.starts_with(".SS");
    }
    text
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ") || item_number(line).is_some()
}

/// Returns the number of a list's item and its text.
fn item_number(line: &str) -> Option<(&str, &str)> {
    let (number, text) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, text))
}

fn paragraph_or_item(text: &str) -> String {
    if let Some(item) = text.strip_prefix("- ") {
        format!(".IP \\(bu 2\n{}\n", line_of_text(item))
    } else if let Some((number, item)) = item_number(text) {
        format!(".IP {number}. 4\n{}\n", line_of_text(item))
    } else {
        format!(".PP\n{}\n", line_of_text(text))
    }
}

fn code_block<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.map(protected).collect();
    format!(".PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n"))
}

/// Splits the row of a table. A code span may contain `|` only as `\|`.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    let row = row.replace("\\|", "\0");
    let cells = row.split('|').map(|cell| cell.trim().replace('\0', "|"));
    cells.collect()
}

/// Writes one item for each row: its first field, its last one, and the others with their columns'
/// names.
fn table(rows: &[Vec<String>]) -> String {
    let (names, rows) = rows.split_first().unwrap();
    let mut roff = String::new();
    let mut first = "";
    for row in &rows[1..] {
        // An empty first field stands for that of the row above.
        first = if row[0].is_empty() { first } else { &row[0] };
        let last = row.len() - 1;
        roff += &format!(".TP\n{}\n{}\n", strong(first), line_of_text(&row[last]));
        for (name, field) in names[1..last].iter().zip(&row[1..last]) {
            if !field.is_empty() {
                let text = format!("{name}: {field}");
                roff += &format!(".br\n{}\n", line_of_text(&text));
            }
        }
    }
    roff
}

/// Returns a term in bold.
fn strong(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(&text.replace('`', "")))
}

/// Returns text as an input line of its own.
fn line_of_text(text: &str) -> String {
    let text = inline(text);
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Returns a line of code as an input line of its own.
fn protected(code: &str) -> String {
    let code = escaped(code);
    if code.starts_with(['.', '\'']) {
        format!("\\&{code}")
    } else {
        code
    }
}

/// Writes code in bold, and links and strong text as plain text.
fn inline(text: &str) -> String {
    let mut roff = String::new();
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            roff += &format!("\\fB{}\\fR", escaped(part));
        } else {
            roff += &escaped(&without_links(part).replace("**", ""));
        }
    }
    roff
}

/// Replaces `[text](target)` by the text, and by the name of the target if it is another document.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after
            .split_once("](")
            .and_then(|(name, after)| Some((name, after.split_once(')')?)));
        let Some((name, (target, after))) = link else {
            break;
        };
        plain += before;
        plain += name;
        let document = target.split('#').next().unwrap_or_default();
        if document.ends_with(".md") && document != name {
            plain += &format!(" ({document})");
        }
        rest = after;
    }
    plain + rest
}

/// Escapes what troff would interpret. A minus sign can then be copied into a shell.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\\' => escaped += "\\e",
            '-' => escaped += "\\-",
            '\'' => escaped += "\\(aq",
            '`' => escaped += "\\(ga",
            '^' => escaped += "\\(ha",
            '~' => escaped += "\\(ti",
            '"' => escaped += "\\(dq",
            '…' => escaped += "...",
            character if character.is_ascii() => escaped.push(character),
            character => escaped += &format!("\\[u{:04X}]", character as u32),
        }
    }
    escaped
}

#[test]
fn markdown_becomes_a_manual_page() {
    let markdown = "# Page\n\n## A `title`\n\nOne [link](x.md#y)\nand `a-b`.\n\n- **item**\n  more\n1. first\n\n\
        | name | default | meaning |\n|---|---|---|\n| `x` | `1` | an x |\n| | | another |\n\n```sh\n.\\x\n```\n";
    let roff = ".SH A \\fBTITLE\\fR\nOne link (x.md) and \\fBa\\-b\\fR.\n.IP \\(bu 2\nitem more\n.IP 1. 4\nfirst\n\
        .TP\n\\fBx\\fR\nan x\n.br\ndefault: \\fB1\\fR\n.TP\n\\fBx\\fR\nanother\n\
        .PP\n.RS 4\n.nf\n\\&.\\ex\n.fi\n.RE\n";
    assert_eq!(to_roff(markdown), roff);
}
