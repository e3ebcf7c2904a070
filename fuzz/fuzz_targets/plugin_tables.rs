//! Fuzzes the checks of the tables that a plugin passes to the host. Whatever a table contains, the
//! host must accept it or return a reason, and must not read behind a table, a list or a string.
//!
//! The input is the content of the tables: sizes, counts, numbers, and which strings their pointers
//! point to. Each object ends where a page without access begins, so a read behind it is a crash.
#![no_main]

use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::{null, null_mut};

use keyferry::plugin::abi;
use keyferry::plugin::test_tables;
use libfuzzer_sys::fuzz_target;

/// The size of a page, which is also the largest size of an object.
const PAGE: usize = 4096;
/// How many rows of a list exist at most. The host reads no list with more rows.
const MOST_ROWS: usize = 66;

/// Pages that are followed by a page without access. They are used again for each input.
#[derive(Default)]
struct GuardedPages {
    pages: Vec<*mut u8>,
    used: usize,
}

impl GuardedPages {
    /// Copies an object to the end of a page. Leaves out up to `align - 1` bytes of the page, so that
    /// the object is aligned.
    fn put(&mut self, bytes: &[u8], align: usize) -> *mut u8 {
        if self.used == self.pages.len() {
            self.pages.push(guarded_page());
        }
        let page = self.pages[self.used];
        self.used += 1;
        let at = page.wrapping_add((PAGE - bytes.len()) / align * align);
        // SAFETY: the object is no larger than a page, and only this target uses the page.
        unsafe { at.copy_from(bytes.as_ptr(), bytes.len()) };
        at
    }
}

fn guarded_page() -> *mut u8 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping touches no other memory.
    let pages = unsafe { libc::mmap(null_mut(), 2 * PAGE, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    assert_ne!(pages, libc::MAP_FAILED);
    // SAFETY: the second page belongs to this mapping.
    let code = unsafe { libc::mprotect(pages.wrapping_byte_add(PAGE), PAGE, libc::PROT_NONE) };
    assert_eq!(code, 0);
    pages.cast()
}

/// The rest of the input. After its end, everything is zero.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Returns a number: mostly a small one, sometimes any.
    fn number(&mut self) -> u32 {
        match self.byte() {
            255 => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
            small => small.into(),
        }
    }

    /// Returns a string of the input: NULL, or the bytes up to the next NUL, which is added at the
    /// end of the input.
    fn text(&mut self, pages: &mut GuardedPages) -> *const c_char {
        if self.byte() == 0 {
            return null();
        }
        let length = self.0.iter().take(PAGE - 1).position(|byte| *byte == 0);
        let length = length.unwrap_or(self.0.len().min(PAGE - 1));
        let (text, rest) = self.0.split_at(length);
        self.0 = rest.strip_prefix(&[0]).unwrap_or(rest);
        pages.put(&[text, &[0]].concat(), 1).cast()
    }

    /// Returns a list of `count` rows: NULL, a misaligned list, or a list with all its rows.
    fn list<T>(&mut self, count: u32, pages: &mut GuardedPages, row: impl Fn(&mut Self, &mut GuardedPages) -> T) -> *const T {
        let kind = self.byte();
        if kind == 0 {
            return null();
        }
        let rows: Vec<T> = (0..(count as usize).min(MOST_ROWS)).map(|_| row(self, pages)).collect();
        // SAFETY: the rows are numbers and pointers without padding.
        let bytes = unsafe { std::slice::from_raw_parts(rows.as_ptr().cast::<u8>(), size_of_val(rows.as_slice())) };
        let list = pages.put(bytes, align_of::<T>());
        if kind == 1 { list.wrapping_sub(1).cast() } else { list.cast() }
    }
}

/// Puts a table into a page of its own, with as many bytes as its size at `size_at` says, up to a
/// whole page. Returns NULL or a misaligned pointer for some inputs.
fn put_table<T>(table: &T, size_at: usize, size: u32, kind: u8, pages: &mut GuardedPages) -> *const T {
    if kind == 0 {
        return null();
    }
    // SAFETY: the tables are numbers and pointers without padding.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const *table).cast::<u8>(), size_of::<T>()) };
    let size = (size as usize).clamp(size_at + 4, PAGE);
    let mut content = bytes.to_vec();
    content.resize(size.max(content.len()), 0);
    let at = pages.put(&content[..size], align_of::<T>());
    if kind == 1 { at.wrapping_sub(1).cast() } else { at.cast() }
}

unsafe extern "C" fn get_extension(_id: *const c_char) -> *const c_void {
    null()
}

unsafe extern "C" fn acquire(_call: abi::keyferry_plugin_call, _spec: *const abi::keyferry_plugin_token_spec) -> abi::keyferry_plugin_status {
    abi::KEYFERRY_PLUGIN_OK
}

unsafe extern "C" fn get(_call: abi::keyferry_plugin_call, _name: *const c_char) -> abi::keyferry_plugin_status {
    abi::KEYFERRY_PLUGIN_OK
}

fn entry(input: &mut Input<'_>, pages: &mut GuardedPages) -> *const abi::keyferry_plugin {
    let (kind, struct_size, setting_count) = (input.byte(), input.number(), input.number());
    let setting = |input: &mut Input<'_>, pages: &mut GuardedPages| abi::keyferry_plugin_setting {
        key: input.text(pages),
        description: input.text(pages),
        default_value: input.text(pages),
        kind: input.number(),
        reserved: 0,
    };
    let table = abi::keyferry_plugin {
        abi_major: abi::KEYFERRY_PLUGIN_ABI_MAJOR,
        abi_minor: abi::KEYFERRY_PLUGIN_ABI_MINOR,
        struct_size,
        setting_count,
        name: input.text(pages),
        version: input.text(pages),
        settings: input.list(setting_count, pages, setting),
        init: None,
        deinit: None,
        get_extension: (input.byte() != 0).then_some(get_extension),
    };
    put_table(&table, offset_of!(abi::keyferry_plugin, struct_size), struct_size, kind, pages)
}

fn service(input: &mut Input<'_>, pages: &mut GuardedPages) -> *const abi::keyferry_plugin_service {
    let (kind, struct_size, route_count) = (input.byte(), input.number(), input.number());
    let route = |input: &mut Input<'_>, pages: &mut GuardedPages| abi::keyferry_plugin_route {
        pattern: input.text(pages),
        token_kind: input.number(),
        access: input.number(),
    };
    let table = abi::keyferry_plugin_service {
        struct_size,
        route_count,
        title: input.text(pages),
        prefix: input.text(pages),
        routes: input.list(route_count, pages, route),
        acquire: (input.byte() != 0).then_some(acquire),
        renew: None,
    };
    put_table(&table, 0, struct_size, kind, pages)
}

fn secret_source(input: &mut Input<'_>, pages: &mut GuardedPages) -> *const abi::keyferry_plugin_secret_source {
    let (kind, struct_size) = (input.byte(), input.number());
    let table = abi::keyferry_plugin_secret_source { struct_size, reserved: 0, get: (input.byte() != 0).then_some(get) };
    put_table(&table, 0, struct_size, kind, pages)
}

thread_local! {
    static PAGES: RefCell<GuardedPages> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    PAGES.with_borrow_mut(|pages| {
        pages.used = 0;
        let mut input = Input(bytes);
        let (entry, service, source) = (entry(&mut input, pages), service(&mut input, pages), secret_source(&mut input, pages));
        // SAFETY: each table has as many bytes as its size says, and each list as many rows as its
        // count says, up to the limit of the host. Each string ends in NUL.
        if let Err(reason) = unsafe { test_tables::read(entry, service, source) } {
            assert!(!reason.is_empty() && !reason.chars().any(char::is_control), "{reason}");
        }
    });
});
