//! Examines a plugin's file before it is loaded.
//!
//! Checks that the file is a complete ELF shared object for this architecture and exports the
//! entry, and reads the entry's ABI version. No code of the file runs. Every offset and size in the
//! file is checked before it is used. Constants have the names of the ELF specification.
//!
//! Rationale: the dynamic linker crashes on a truncated file, and runs the constructors of any
//! shared object before its caller can check it.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The first three fields of a plugin's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryHeader {
    pub(super) abi_major: u32,
    pub(super) abi_minor: u32,
    pub(super) struct_size: u32,
}

#[cfg(target_arch = "x86_64")]
const EM_THIS_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const EM_THIS_MACHINE: u16 = 183;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const EM_THIS_MACHINE: u16 = 0;

const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const STT_OBJECT: u8 = 1;
/// The maximum number of rows in a segment or section table. A file with more rows is rejected.
const MAX_TABLE_ROWS: usize = 4096;
/// The maximum size of a symbol or string table. A file with a larger one is rejected.
const MAX_SECTION_BYTES: usize = 64 << 20;

/// Reads the first three fields of the entry. `name` is the entry's symbol.
///
/// # Errors
/// Returns a reason and a remedy, which the caller adds to "cannot load the plugin PATH: ".
pub(super) fn read_entry_header(file: &File, name: &str) -> Result<EntryHeader, &'static str> {
    let elf = ElfFile {
        file,
        len: file
            .metadata()
            .map_err(|_| "cannot read its metadata; check the file system")?
            .len(),
    };
    let header = elf.bytes(0, 64).ok_or(NOT_A_SHARED_OBJECT)?;
    // The bytes 2 and 1 mean 64-bit and little-endian.
    if header[..6] != [0x7f, b'E', b'L', b'F', 2, 1] || u16_at(&header, 16) != Some(ET_DYN) {
        return Err(NOT_A_SHARED_OBJECT);
    }
    if u16_at(&header, 18) != Some(EM_THIS_MACHINE) {
        return Err("it is compiled for another architecture; compile it for this one");
    }
    let segments = elf.table(&header, 32, 54, 56).ok_or(TRUNCATED)?;
    let sections = elf.table(&header, 40, 58, 64).ok_or(TRUNCATED)?;
    let loadable: Vec<_> = segments
        .chunks_exact(56)
        .filter(|row| u32_at(row, 0) == Some(PT_LOAD))
        .filter_map(read_segment)
        .collect();
    if loadable.is_empty()
        || loadable.iter().any(|segment| {
            segment
                .offset
                .checked_add(segment.size)
                .is_none_or(|end| end > elf.len)
        })
    {
        return Err(TRUNCATED);
    }
    elf.check_dependencies(&sections)?;
    let address = elf.find_symbol(&sections, name)?;
    let holds_entry = |segment: &&Segment| {
        address >= segment.address && address - segment.address < segment.size.saturating_sub(11)
    };
    let segment = loadable
        .iter()
        .find(holds_entry)
        .ok_or("its `keyferry_plugin_entry` is not initialised data; define it with its values")?;
    let numbers = elf
        .bytes(segment.offset + (address - segment.address), 12)
        .ok_or(TRUNCATED)?;
    let number = |at| u32_at(&numbers, at).ok_or(TRUNCATED);
    Ok(EntryHeader {
        abi_major: number(0)?,
        abi_minor: number(4)?,
        struct_size: number(8)?,
    })
}

const NOT_A_SHARED_OBJECT: &str =
    "it is not a 64-bit ELF shared object; compile it with `-shared -fPIC`";
const TRUNCATED: &str = "the file is truncated or damaged; copy it again";
const NO_ENTRY: &str = "it exports no constant data `keyferry_plugin_entry`; use the path of a plugin, or rebuild it with that symbol exported";

struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

fn read_segment(row: &[u8]) -> Option<Segment> {
    Some(Segment {
        offset: u64_at(row, 8)?,
        address: u64_at(row, 16)?,
        size: u64_at(row, 32)?,
    })
}

struct ElfFile<'a> {
    file: &'a File,
    len: u64,
}

impl ElfFile<'_> {
    /// Reads `len` bytes at the offset `at`. Returns `None` if the file is too short.
    fn bytes(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        at.checked_add(len as u64).filter(|end| *end <= self.len)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// Reads a table that the ELF header describes. The table's offset is at `offset_at` in the
    /// header. The row size is at `row_size_at`, followed by the row count. Returns `None` if a row
    /// is not `row_size` bytes long.
    fn table(
        &self,
        header: &[u8],
        offset_at: usize,
        row_size_at: usize,
        row_size: u16,
    ) -> Option<Vec<u8>> {
        let (offset, size, count) = (
            u64_at(header, offset_at)?,
            u16_at(header, row_size_at)?,
            u16_at(header, row_size_at + 2)?,
        );
        if size != row_size || usize::from(count) > MAX_TABLE_ROWS {
            return None;
        }
        self.bytes(offset, usize::from(row_size) * usize::from(count))
    }

    /// Rejects a file that has its own library search path, or that names a library by its path.
    /// The linker would load libraries from there, and the host has not examined those files.
    fn check_dependencies(&self, sections: &[u8]) -> Result<(), &'static str> {
        let rows: Vec<_> = sections.chunks_exact(64).collect();
        let dynamic = rows
            .iter()
            .find(|row| u32_at(row, 4) == Some(SHT_DYNAMIC))
            .ok_or(NO_ENTRY)?;
        let names = u32_at(dynamic, 40)
            .and_then(|link| rows.get(link as usize))
            .ok_or(TRUNCATED)?;
        let (entries, names) = (
            self.section_bytes(dynamic).ok_or(TRUNCATED)?,
            self.section_bytes(names).ok_or(TRUNCATED)?,
        );
        for entry in entries.chunks_exact(16) {
            let at = u64_at(entry, 8)
                .and_then(|at| usize::try_from(at).ok())
                .unwrap_or(usize::MAX);
            let text = names
                .get(at..)
                .and_then(|text| text.split(|byte| *byte == 0).next())
                .unwrap_or_default();
            match u64_at(entry, 0) {
                Some(DT_RPATH | DT_RUNPATH) => {
                    return Err("it has its own library search path; link it without `-rpath`");
                }
                Some(DT_NEEDED) if text.contains(&b'/') => {
                    return Err("it names a library by its path; link the library by its name");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the bytes of a section.
    fn section_bytes(&self, row: &[u8]) -> Option<Vec<u8>> {
        let (offset, size) = (u64_at(row, 24)?, usize::try_from(u64_at(row, 32)?).ok()?);
        if size > MAX_SECTION_BYTES {
            None
        } else {
            self.bytes(offset, size)
        }
    }

    /// Returns the address of an exported data symbol.
    fn find_symbol(&self, sections: &[u8], name: &str) -> Result<u64, &'static str> {
        let rows: Vec<_> = sections.chunks_exact(64).collect();
        let dynamic = rows
            .iter()
            .find(|row| u32_at(row, 4) == Some(SHT_DYNSYM))
            .ok_or(NO_ENTRY)?;
        let names = u32_at(dynamic, 40)
            .and_then(|link| rows.get(link as usize))
            .ok_or(TRUNCATED)?;
        let (symbols, names) = (
            self.section_bytes(dynamic).ok_or(TRUNCATED)?,
            self.section_bytes(names).ok_or(TRUNCATED)?,
        );
        let is_named = |row: &&[u8]| {
            let at = u32_at(row, 0).map_or(usize::MAX, |at| at as usize);
            let text = names.get(at..).unwrap_or_default();
            text.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&0))
        };
        let found = symbols.chunks_exact(24).find(is_named).ok_or(NO_ENTRY)?;
        let (kind, binding, section) = (found[4] & 15, found[4] >> 4, u16_at(found, 6));
        if kind != STT_OBJECT || binding == 0 || section == Some(0) {
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
