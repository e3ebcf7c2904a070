//! The C ABI: the body of an exported function is one call that catches panics, and its comment
//! says what a C caller needs to know. `tests/c_abi` compares functions, header and library.

use syn::spanned::Spanned;
use syn::{Attribute, Expr, Item, ItemFn, Stmt};

use super::{File, breaks, holds, holds_in, read, sources};

/// The functions that catch panics.
const GUARDS: &str = "boundary::call boundary::call_with_out boundary::call_with_pipe boundary::status_only panic::infallible";
/// The sections of a comment, in their order.
const LABELS: [&str; 5] = ["Errors:", "Owner:", "Threads:", "Source:", "Since:"];

/// The exported functions of a file.
fn exports(text: &str) -> Vec<ItemFn> {
    let is_mark = |attribute: &Attribute| source(attribute) == "#[unsafe(no_mangle)]";
    let items = syn::parse_file(text).unwrap().items.into_iter();
    let exports = items.filter_map(|item| match item {
        Item::Fn(item) if item.attrs.iter().any(is_mark) => Some(item),
        _ => None,
    });
    exports.collect()
}

fn source(at: &impl Spanned) -> String {
    at.span().source_text().unwrap()
}

/// A complaint about an export.
fn say(path: &str, item: &ItemFn, what: &str) -> String {
    let name = &item.sig.ident;
    format!("{path}:{}: `{name}` {what}", name.span().start().line)
}

/// The exports whose body is not one call of a guard with the name of the export.
fn without_guard(path: &str, text: &str) -> Vec<String> {
    let what = format!("is not one call, with its name, of {GUARDS}: wrap its body");
    let mut strays = exports(text);
    strays.retain(|item| !is_one_call(item));
    strays.iter().map(|item| say(path, item, &what)).collect()
}

fn is_one_call(item: &ItemFn) -> bool {
    let [Stmt::Expr(Expr::Call(call), _)] = &item.block.stmts[..] else {
        return false;
    };
    let call: String = source(call).split_whitespace().collect();
    let begin = format!("(\"{}\",", item.sig.ident);
    let mut guards = GUARDS.split(' ');
    guards.any(|guard| call.starts_with(&(guard.to_owned() + &begin)))
}

/// The comment of an export; each line begins with a line break.
fn comment(item: &ItemFn) -> String {
    let text = source(item);
    let lines = text.lines().filter_map(|line| line.strip_prefix("/// "));
    lines.map(|line| format!("\n{line}")).collect()
}

/// What the comments of a file's exports lack.
fn undocumented(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for item in exports(text) {
        let (comment, signature) = (comment(&item), source(&item.sig));
        let mut say = |what: &str| complaints.push(say(path, &item, what));
        let returns_object = signature.contains("MaybeUninit<*") || signature.contains("-> *");
        let is_handed_over = returns_object || comment.contains("Taken.");
        let mut places = Vec::new();
        for label in LABELS {
            let place = comment.find(&format!("\n{label} "));
            if place.is_none() && (label != "Owner:" || is_handed_over) {
                say(&format!("has no line `{label}` in its comment: add it"));
            }
            places.extend(place);
        }
        if !places.is_sorted() {
            say("has a comment in another order: sort its labels");
        }
        let said = comment.split("\n@param ").skip(1);
        let said: Vec<_> = said.filter_map(|text| text.split(' ').next()).collect();
        let inputs: Vec<_> = item.sig.inputs.iter().map(source).collect();
        let names = inputs.iter().filter_map(|input| input.split(':').next());
        if !names.eq(said) {
            say("needs one @param for each parameter, in their order");
        }
    }
    complaints
}

/// The status codes that neither a function nor the rules for all functions list.
fn unlisted(status: &str, files: &[File], rules: &str) -> Vec<String> {
    let mut listed = rules.to_owned();
    for item in files.iter().flat_map(|(_, text)| exports(text)) {
        let comment = comment(&item);
        let list = comment.split("\nErrors:").nth(1).unwrap_or("");
        let end = list.find("\nOwner:").or(list.find("\nThreads:"));
        listed += &list[..end.unwrap_or(list.len())];
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_listed = |name| listed.split(|c| !is_part(c)).any(|word| word == name);
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(status.lines()) {
        let name = line
            .trim_start_matches("pub const ")
            .split(':')
            .next()
            .unwrap();
        if name.starts_with("KEYFERRY_E_") && !is_listed(name) {
            let remedy = "list it for the functions that return it";
            complaints.push(format!("src/ffi/status.rs:{number}: {name}: {remedy}"));
        }
    }
    complaints
}

#[test]
fn every_export_is_one_call_that_catches_panics() {
    let files = sources("src");
    holds_in(&files, without_guard);
    let found = files.iter().flat_map(|(_, text)| exports(text)).count();
    let listed = read("c-tests/symbols.txt").lines().count();
    assert_eq!(found, listed, "src: not every export could be read");
    let check = |body: &str| {
        let head = "#[unsafe(no_mangle)]\npub extern \"C\" fn keyferry_a()";
        without_guard("src/ffi/a.rs", &format!("{head} {{ {body} }}"))
    };
    holds(check("panic::infallible(\n\"keyferry_a\", (), || 1);"));
    let broken = "boundary::call(\"keyferry_b\", || 1)
        let x = 1; boundary::call(\"keyferry_a\", || x)
        boundary::call(\"keyferry_a\", || 1) + 1
        other(\"keyferry_a\", || 1)";
    for body in broken.lines() {
        breaks(check(body), "src/ffi/a.rs:2: `keyferry_a` is not one call");
    }
}

const GOOD: &str = "/// Does.
/// @param a  x
/// @param b_out  y
/// Errors:  KEYFERRY_E_AB;
///          KEYFERRY_E_A if x
/// Owner:   KEYFERRY_E_B
/// Threads: [any]
/// Source:  x
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern \"C\" fn keyferry_a(a: u8, b_out: Option<&mut MaybeUninit<*mut c_char>>) {}";

#[test]
fn every_comment_of_an_export_says_what_a_caller_needs() {
    holds_in(&sources("src/ffi"), undocumented);
    let check = |from, to| undocumented("src/ffi/a.rs", &GOOD.replace(from, to));
    holds(check("", ""));
    breaks(check("/// Owner:   KEYFERRY_E_B\n", ""), "no line `Owner:`");
    breaks(
        check("/// Since:   0.1\n", ""),
        "src/ffi/a.rs:10: `keyferry_a` has",
    );
    breaks(check("/// @param a  x\n", ""), "one @param for each");
    breaks(check("@param b_out", "@param c"), "one @param for each");
    breaks(check("/// Does.", "/// Since:   0.1"), "sort its labels");
}

#[test]
fn every_status_is_listed_for_a_function_or_in_the_rules() {
    let (status, rules) = (read("src/ffi/status.rs"), read("include/preamble.txt"));
    holds(unlisted(&status, &sources("src/ffi"), &rules));
    let status = "pub const KEYFERRY_E_A: i32 = 1;\npub const KEYFERRY_E_B: i32 = 2;";
    let check = |rules: &str| unlisted(status, &[(String::new(), GOOD.into())], rules);
    holds(check("or KEYFERRY_E_B."));
    breaks(check(""), "src/ffi/status.rs:2: KEYFERRY_E_B: list it");
}
