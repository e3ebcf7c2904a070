//! The uploads and objects that the storage keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::etag;
use super::urls::UrlSigner;
use crate::budget::{Budget, Reservation};

/// The name of the one bucket.
pub(crate) const BUCKET: &str = "keyferry-sandbox";

/// The key of the file that each of the sandbox's own packages has.
pub(crate) const SAMPLE_KEY: &str = "samples/sample.mov";

/// Size of the sample file.
pub(crate) const SAMPLE_BYTES: usize = 4096;

/// The state of the storage.
pub(crate) struct StorageData {
    pub(crate) budget: Arc<Budget>,
    pub(crate) signer: UrlSigner,
    base_url: String,
    uploads: BTreeMap<String, Upload>,
    objects: BTreeMap<String, Object>,
}

/// A multipart upload that isn't complete.
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) parts: BTreeMap<u32, Part>,
}

/// An uploaded part.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    /// Returns the bytes to the budget when the part is dropped.
    _reservation: Arc<Reservation>,
}

/// A complete file.
pub(crate) struct Object {
    pub(crate) parts: Vec<Part>,
    pub(crate) etag: String,
}

impl Part {
    pub(crate) fn new(bytes: Bytes, reservation: Arc<Reservation>) -> Part {
        Part {
            etag: etag::of_part(&bytes),
            bytes,
            _reservation: reservation,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Object {
    pub(crate) fn new(parts: Vec<Part>) -> Object {
        Object {
            etag: etag::of_object(parts.iter().map(|part| part.etag.as_str())),
            parts,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.parts.iter().map(Part::size).sum()
    }
}

impl StorageData {
    pub(crate) fn new(budget: Arc<Budget>) -> std::io::Result<StorageData> {
        let sample = Part::new(sample_bytes(), Arc::new(Reservation::empty(&budget)));
        Ok(StorageData {
            budget,
            signer: UrlSigner::new()?,
            base_url: String::new(),
            uploads: BTreeMap::new(),
            objects: BTreeMap::from([(SAMPLE_KEY.to_owned(), Object::new(vec![sample]))]),
        })
    }

    /// Returns a storage with the same URL and budget, the default limit, and no uploads.
    pub(crate) fn emptied(&self) -> std::io::Result<StorageData> {
        self.budget.reset_limit();
        let mut emptied = StorageData::new(Arc::clone(&self.budget))?;
        emptied.base_url.clone_from(&self.base_url);
        Ok(emptied)
    }

    pub(crate) fn set_base_url(&mut self, base_url: &str) {
        base_url.clone_into(&mut self.base_url);
    }

    /// Returns a signed URL for an object.
    pub(crate) fn signed_url(&self, method: &str, key: &str, fields: &str, now_ms: i64) -> String {
        let path = format!("/{BUCKET}/{key}");
        format!(
            "{}{}",
            self.base_url,
            self.signer.sign(method, &path, fields, now_ms)
        )
    }

    /// Starts an upload and returns its id. Returns `None` if the system has no random bytes.
    pub(crate) fn start_upload(&mut self, key: &str) -> Option<String> {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).ok()?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let upload = Upload {
            key: key.to_owned(),
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        Some(id)
    }

    /// Returns an upload of this object.
    pub(crate) fn upload(&self, id: &str, key: &str) -> Option<&Upload> {
        self.uploads.get(id).filter(|upload| upload.key == key)
    }

    /// Keeps a part. Replaces an earlier part with this number.
    pub(crate) fn keep_part(&mut self, id: &str, number: u32, part: Part) {
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.parts.insert(number, part);
        }
    }

    /// Turns the parts of an upload into an object, and drops all uploads of this object.
    pub(crate) fn complete_upload(&mut self, id: &str, key: &str) {
        if let Some(upload) = self.uploads.remove(id) {
            let parts = upload.parts.into_values().collect();
            self.objects.insert(key.to_owned(), Object::new(parts));
        }
        self.uploads.retain(|_, upload| upload.key != key);
    }

    pub(crate) fn object(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Drops everything that belongs to a package for which `exists` returns `false`.
    pub(crate) fn retain_packages(&mut self, exists: impl Fn(&str) -> bool) {
        let keep = |key: &str| {
            key == SAMPLE_KEY
                || key
                    .split_once('/')
                    .is_some_and(|(package, _)| exists(package))
        };
        self.uploads.retain(|_, upload| keep(&upload.key));
        self.objects.retain(|key, _| keep(key));
    }

    /// Returns the message for bytes that the budget has no room for.
    pub(crate) fn full_message(&self) -> String {
        format!(
            "the sandbox has no room for this: it keeps at most {} bytes, and {} of them are in use; delete packages, or raise `storage_limit_bytes` with POST /sandbox/configure",
            self.budget.limit_bytes(),
            self.budget.used_bytes(),
        )
    }

    /// Returns what is stored, for the control route.
    pub(crate) fn to_json(&self) -> Value {
        let part_json = |(number, part): (&u32, &Part)| json!({"part_number": number, "size": part.size(), "etag": part.etag});
        let uploads = self.uploads.iter().map(|(id, upload)| {
            json!({"upload_id": id, "key": upload.key, "parts": upload.parts.iter().map(part_json).collect::<Value>()})
        });
        let objects = self.objects.iter().map(|(key, object)| {
            json!({"key": key, "size": object.size(), "etag": object.etag, "parts": object.parts.len()})
        });
        json!({
            "url": self.base_url,
            "limit_bytes": self.budget.limit_bytes(), "used_bytes": self.budget.used_bytes(),
            "uploads": uploads.collect::<Value>(), "objects": objects.collect::<Value>(),
        })
    }
}

/// Returns the content of the sample file: lines of text.
fn sample_bytes() -> Bytes {
    let line = b"This is the sample file of the keyferry sandbox.\n";
    line.iter().copied().cycle().take(SAMPLE_BYTES).collect()
}
