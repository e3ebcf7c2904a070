//! What a file says of itself before it is loaded: whether it is a whole shared object of this machine that exports the entry, and
//! which ABI that speaks. No code of the file runs for this.
//!
//! Every offset in a file may be a lie.
//!
//! Rationale: the linker crashes on a file that ends early, and runs constructors of whatever it is given.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The first numbers of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) size: u32,
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: u16 = 0;

const SHARED_OBJECT: u16 = 3;
const LOADED: u32 = 1;
const DYNAMIC: u32 = 6;
const DYNAMIC_SYMBOLS: u32 = 11;
const NEEDED: u64 = 1;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;
const DATA_OBJECT: u8 = 1;
/// A file with more of them is no plugin.
const MOST: usize = 4096;
/// And so is one with a larger table of symbols or names.
const MOST_BYTES: usize = 64 << 20;

/// Reads the numbers of the symbol `name`.
///
/// # Errors
/// What is wrong with the file, to go behind its path.
pub(super) fn examine(file: &File, name: &str) -> Result<Numbers, &'static str> {
    let image = Image { file, len: file.metadata().map_err(|_| "can't be examined")?.len() };
    let head = image.bytes(0, 64).ok_or(NO_OBJECT)?;
    // 64 bits, the least byte first, of this machine.
    if head[..6] != [0x7f, b'E', b'L', b'F', 2, 1] || u16_at(&head, 16) != Some(SHARED_OBJECT) {
        return Err(NO_OBJECT);
    }
    if u16_at(&head, 18) != Some(MACHINE) {
        return Err("is made for another kind of machine: compile it here");
    }
    let segments = image.table(&head, 32, 54, 56).ok_or(TRUNCATED)?;
    let sections = image.table(&head, 40, 58, 64).ok_or(TRUNCATED)?;
    let loaded: Vec<_> = segments.chunks_exact(56).filter(|row| u32_at(row, 0) == Some(LOADED)).filter_map(segment).collect();
    if loaded.is_empty() || loaded.iter().any(|part| part.offset.checked_add(part.size).is_none_or(|end| end > image.len)) {
        return Err(TRUNCATED);
    }
    image.check_needs(&sections)?;
    let address = image.symbol(&sections, name)?;
    let inside = |part: &&Segment| address >= part.address && address - part.address < part.size.saturating_sub(11);
    let part = loaded.iter().find(inside).ok_or("exports an entry that is no initialised data: define it with its values")?;
    let numbers = image.bytes(part.offset + (address - part.address), 12).ok_or(TRUNCATED)?;
    let number = |at| u32_at(&numbers, at).ok_or(TRUNCATED);
    Ok(Numbers { major: number(0)?, minor: number(4)?, size: number(8)? })
}

const NO_OBJECT: &str = "is no shared object: compile it with -shared -fPIC";
const TRUNCATED: &str = "is not whole: copy it again";
const NO_ENTRY: &str = "exports no constant data `keyferry_plugin_entry`: it is no plugin, or hides its symbols";

struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

fn segment(row: &[u8]) -> Option<Segment> {
    Some(Segment { offset: u64_at(row, 8)?, address: u64_at(row, 16)?, size: u64_at(row, 32)? })
}

struct Image<'a> {
    file: &'a File,
    len: u64,
}

impl Image<'_> {
    /// Some bytes, if the file has them.
    fn bytes(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        at.checked_add(len as u64).filter(|end| *end <= self.len)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// A table that the head tells of: where its offset stands, where its row size and count, and how long a row has to be.
    fn table(&self, head: &[u8], offset_at: usize, row_at: usize, row: u16) -> Option<Vec<u8>> {
        let (offset, size, count) = (u64_at(head, offset_at)?, u16_at(head, row_at)?, u16_at(head, row_at + 2)?);
        if size != row || usize::from(count) > MOST {
            return None;
        }
        self.bytes(offset, usize::from(row) * usize::from(count))
    }

    /// Refuses an object that has others looked for in places of its own: nobody has examined those.
    fn check_needs(&self, sections: &[u8]) -> Result<(), &'static str> {
        let rows: Vec<_> = sections.chunks_exact(64).collect();
        let dynamic = rows.iter().find(|row| u32_at(row, 4) == Some(DYNAMIC)).ok_or(NO_ENTRY)?;
        let names = u32_at(dynamic, 40).and_then(|link| rows.get(link as usize)).ok_or(TRUNCATED)?;
        let (entries, names) = (self.content(dynamic).ok_or(TRUNCATED)?, self.content(names).ok_or(TRUNCATED)?);
        for entry in entries.chunks_exact(16) {
            let at = u64_at(entry, 8).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
            let text = names.get(at..).and_then(|text| text.split(|byte| *byte == 0).next()).unwrap_or_default();
            match u64_at(entry, 0) {
                Some(RPATH | RUNPATH) => return Err("has a search path of its own: link it without -rpath"),
                Some(NEEDED) if text.contains(&b'/') => return Err("needs a library by a path: link it by name"),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a section holds.
    fn content(&self, row: &[u8]) -> Option<Vec<u8>> {
        let (offset, size) = (u64_at(row, 24)?, usize::try_from(u64_at(row, 32)?).ok()?);
        if size > MOST_BYTES { None } else { self.bytes(offset, size) }
    }

    /// The address of a symbol that is exported data.
    fn symbol(&self, sections: &[u8], name: &str) -> Result<u64, &'static str> {
        let rows: Vec<_> = sections.chunks_exact(64).collect();
        let dynamic = rows.iter().find(|row| u32_at(row, 4) == Some(DYNAMIC_SYMBOLS)).ok_or(NO_ENTRY)?;
        let names = u32_at(dynamic, 40).and_then(|link| rows.get(link as usize)).ok_or(TRUNCATED)?;
        let (symbols, names) = (self.content(dynamic).ok_or(TRUNCATED)?, self.content(names).ok_or(TRUNCATED)?);
        let is_it = |row: &&[u8]| {
            let at = u32_at(row, 0).map_or(usize::MAX, |at| at as usize);
            let text = names.get(at..).unwrap_or_default();
            text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        let found = symbols.chunks_exact(24).find(is_it).ok_or(NO_ENTRY)?;
        let (kind, binding, section) = (found[4] & 15, found[4] >> 4, u16_at(found, 6));
        if kind != DATA_OBJECT || binding == 0 || section == Some(0) {
            return Err(NO_ENTRY);
        }
        u64_at(found, 8).ok_or(TRUNCATED)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
