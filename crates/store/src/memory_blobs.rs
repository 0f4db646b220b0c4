//! Blobs in memory, for tests.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use enact_core::blob::{BlobRef, BlobStore};
use parking_lot::Mutex;

use crate::blobs::name_of;

/// Blobs in memory. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs(Arc<Mutex<HashMap<String, Arc<[u8]>>>>);

impl BlobStore for MemoryBlobs {
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let sha256 = name_of(&enact_merkle::sha256(&[&bytes]));
        let size = bytes.len() as u64;
        self.0.lock().insert(sha256.clone(), bytes.into());
        Ok(BlobRef { sha256, size })
    }

    fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.0.lock().get(&blob.sha256).cloned();
        bytes
            .map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no blob {blob:?}")))
    }
}
