//! Reading checkpoints: the header checked before it is believed, the values a chunk at a time.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use fanin_recipe::header::SafetensorsHeader;
use fanin_recipe::manifest::{Entry, Manifest, StoredType};

/// An open checkpoint.
#[derive(Debug)]
pub struct SafetensorsFile {
    /// Its tensors, in the order of their values in the file.
    pub manifest: Manifest,
    path: PathBuf,
    file: File,
    data: u64,
}

impl SafetensorsFile {
    /// Opens a file and reads its header. Nothing is believed that the file's size does not bear out.
    ///
    /// # Errors
    /// A file that cannot be read, or whose header is not what the format says.
    pub fn open(path: &Path) -> Result<Self> {
        let SafetensorsHeader { manifest, file, data } = SafetensorsHeader::read(path)?;
        Ok(Self { manifest, path: path.to_owned(), file, data })
    }

    /// So many values of a tensor from the index `first` on, as f64.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn window(&self, entry: &Entry, first: usize, count: usize) -> Result<Vec<f64>> {
        let (start, _) = entry.offsets.expect("a checkpoint's tensors have offsets");
        let mut bytes = vec![0; count * entry.dtype.size()];
        self.read_at(start + (first * entry.dtype.size()) as u64, &mut bytes)?;
        Ok(decode(entry.dtype, &bytes))
    }

    /// The bytes of a tensor from the byte `at` on: as many as `bytes` holds.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, entry: &Entry, at: u64, bytes: &mut [u8]) -> Result {
        let (start, _) = entry.offsets.expect("a checkpoint's tensors have offsets");
        self.read_at(start + at, bytes)
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result {
        exactly(&self.file, self.data + at, bytes).map_err(Error::io("read", &self.path))
    }

    /// Hands the values of a tensor to `take`, as f64, a chunk at a time; none of a type that is not read as numbers.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(&self, entry: &Entry, take: impl FnMut(&[f64])) -> Result {
        self.values_of(entry, std::iter::once(0..entry.values()), take)
    }

    /// As [`values`](Self::values), of these stretches of the tensor's row-major values, which rise.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values_of(
        &self,
        entry: &Entry,
        runs: impl Iterator<Item = Range<usize>>,
        mut take: impl FnMut(&[f64]),
    ) -> Result {
        const CHUNK: usize = 1 << 20;
        if !entry.dtype.is_read() {
            return Ok(());
        }
        // What was read lately, with what lies between short runs.
        let (mut first, mut near) = (0, Vec::new());
        for mut run in runs {
            while !run.is_empty() {
                if run.start >= first + near.len() {
                    first = run.start;
                    near = self.window(entry, first, CHUNK.min(entry.values() - first))?;
                }
                let end = run.end.min(first + near.len());
                take(&near[run.start - first..end - first]);
                run.start = end;
            }
        }
        Ok(())
    }
}

/// Reads from a place of its own: several threads may read one file.
#[cfg(unix)]
fn exactly(file: &File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Reads from a place of its own: several threads may read one file.
#[cfg(windows)]
fn exactly(file: &File, mut at: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => (at, bytes) = (at + read as u64, &mut bytes[read..]),
        }
    }
    Ok(())
}

/// Little-endian values as f64; integers beyond 2^53 are rounded. None of a type that is not read as numbers.
pub fn decode(dtype: StoredType, bytes: &[u8]) -> Vec<f64> {
    macro_rules! each {
        ($type:ty, $size:literal, $wide:expr) => {{
            let wide: fn($type) -> f64 = $wide;
            bytes.as_chunks::<$size>().0.iter().map(|bytes| wide(<$type>::from_le_bytes(*bytes))).collect()
        }};
    }
    match dtype {
        StoredType::F64 => each!(f64, 8, |x| x),
        StoredType::F32 => each!(f32, 4, |x| x.into()),
        StoredType::F16 => each!(fanin::half::f16, 2, |x| x.to_f64()),
        StoredType::BF16 => each!(fanin::half::bf16, 2, |x| x.to_f64()),
        StoredType::F8_E4M3 => {
            bytes.iter().map(|&bits| fanin::F8E4M3::from_bits(bits).to_f32().into()).collect()
        }
        StoredType::F8_E5M2 => {
            bytes.iter().map(|&bits| fanin::F8E5M2::from_bits(bits).to_f32().into()).collect()
        }
        StoredType::I64 => each!(i64, 8, |x| x as f64),
        StoredType::I32 => each!(i32, 4, |x| x.into()),
        StoredType::I16 => each!(i16, 2, |x| x.into()),
        StoredType::I8 => each!(i8, 1, |x| x.into()),
        StoredType::U64 => each!(u64, 8, |x| x as f64),
        StoredType::U32 => each!(u32, 4, |x| x.into()),
        StoredType::U16 => each!(u16, 2, |x| x.into()),
        StoredType::U8 | StoredType::BOOL => each!(u8, 1, |x| x.into()),
        _ => Vec::new(),
    }
}
