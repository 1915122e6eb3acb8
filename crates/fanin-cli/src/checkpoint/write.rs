//! Writing checkpoints: streamed, under a temporary name until whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fanin::half::{bf16, f16};
use fanin::{DType, Native, Plan, Stream as _, TensorMut, Torch};
use tempfile::NamedTempFile;

use super::header;
use crate::args::StreamName;
use crate::error::{Error, Result};
use crate::recipe::Planned;
use crate::report::progress::Progress;

/// Values that are made and written at a time: memory does not grow with the checkpoint.
const CHUNK: usize = 1 << 21;

/// Where the file goes: `output` itself, or model.safetensors in it if it is a folder. An existing file is refused
/// unless `force` is set; a link is followed, so that it goes on pointing at what is written.
///
/// # Errors
/// An existing target without `force`, a folder that is not there.
pub fn target(output: &Path, force: bool) -> Result<PathBuf> {
    let folder = output.is_dir() || output.as_os_str().to_string_lossy().ends_with(std::path::MAIN_SEPARATOR);
    let path = if folder { output.join("model.safetensors") } else { output.to_owned() };
    let path = if path.is_symlink() { std::fs::canonicalize(&path).unwrap_or(path) } else { path };
    if path.exists() && !path.is_file() {
        // A device or a pipe must not be replaced by a file, forced or not.
        return Err(Error::file(&path, "is not a regular file: a checkpoint can only be written as one"));
    }
    if path.exists() && !force {
        return Err(Error::file(&path, "exists already: --force replaces it"));
    }
    let parent = parent(&path);
    if !parent.is_dir() {
        if !folder {
            return Err(Error::file(parent, "there is no such folder to write to: make it first"));
        }
        std::fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    }
    Ok(path)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The temporary file of the moment, for whoever interrupts us.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Removes the temporary file when the process is interrupted or told to end.
fn clean_up_when_interrupted() {
    _ = ctrlc::set_handler(|| {
        if let Some(path) = UNFINISHED.lock().ok().and_then(|mut path| path.take()) {
            _ = std::fs::remove_file(path);
        }
        std::process::exit(130);
    });
}

/// A file that has a temporary name, beside its target, until it is whole.
struct Unfinished {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Unfinished {
    fn new(path: &Path) -> Result<Self> {
        clean_up_when_interrupted();
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fanin-").suffix(".unfinished");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file has them: what the umask leaves.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(parent(path)).map_err(Error::io("write to", parent(path)))?;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            *unfinished = Some(file.path().to_owned());
        }
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path: path.to_owned() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result {
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    /// Gives the file its name, once all of it is on the disk.
    fn finish(self, force: bool) -> Result {
        let path = self.path;
        let file = self.file.into_inner().map_err(|error| Error::io("write", &path)(error.into_error()))?;
        file.as_file().sync_all().map_err(Error::io("write", &path))?;
        let persisted = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        persisted.map_err(|error| Error::io("write", &path)(error.error))?;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            *unfinished = None;
        }
        // The name itself is on the disk once its folder is.
        #[cfg(unix)]
        File::open(parent(&path)).and_then(|folder| folder.sync_all()).map_err(Error::io("write", &path))?;
        Ok(())
    }
}

/// Values of any type on their way to the file.
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    Bytes(Vec<u8>),
}

impl Values {
    fn new(dtype: DType, count: usize) -> Self {
        match dtype {
            DType::F64 => Values::F64(vec![0.0; count]),
            DType::F16 => Values::F16(vec![f16::ZERO; count]),
            DType::BF16 => Values::BF16(vec![bf16::ZERO; count]),
            _ => Values::F32(vec![0.0; count]),
        }
    }

    fn tensor(&mut self, shape: &[usize]) -> std::result::Result<TensorMut<'_>, fanin::Error> {
        match self {
            Values::F32(values) => TensorMut::contiguous(values, shape),
            Values::F64(values) => TensorMut::contiguous(values, shape),
            Values::F16(values) => TensorMut::contiguous(values, shape),
            Values::BF16(values) => TensorMut::contiguous(values, shape),
            Values::Bytes(_) => unreachable!("bytes are not drawn"),
        }
    }

    /// As the file has them: little-endian.
    fn into_bytes(self) -> Vec<u8> {
        #[cfg(target_endian = "big")]
        return match self {
            Values::F32(values) => values.into_iter().flat_map(f32::to_le_bytes).collect(),
            Values::F64(values) => values.into_iter().flat_map(f64::to_le_bytes).collect(),
            Values::F16(values) => values.into_iter().flat_map(f16::to_le_bytes).collect(),
            Values::BF16(values) => values.into_iter().flat_map(bf16::to_le_bytes).collect(),
            Values::Bytes(bytes) => bytes,
        };
        #[cfg(target_endian = "little")]
        match self {
            Values::F32(values) => bytemuck::cast_slice(&values).to_vec(),
            Values::F64(values) => bytemuck::cast_slice(&values).to_vec(),
            Values::F16(values) => bytemuck::cast_slice(&values).to_vec(),
            Values::BF16(values) => bytemuck::cast_slice(&values).to_vec(),
            Values::Bytes(bytes) => bytes,
        }
    }
}

/// Cuts a shape into boxes of at most `most` values, in row-major order: each is a stretch of the row-major values.
fn boxes(shape: &[usize], most: usize) -> Vec<(Vec<usize>, Vec<usize>)> {
    if shape.contains(&0) {
        return Vec::new();
    }
    // Axes after `axis` are whole; `axis` is cut; those before it are stepped through.
    let mut axis = shape.len();
    let mut inner = 1usize;
    while axis > 0 && inner * shape[axis - 1] <= most {
        axis -= 1;
        inner *= shape[axis];
    }
    if axis == 0 {
        return vec![(vec![0; shape.len()], shape.to_vec())];
    }
    axis -= 1;
    let step = (most / inner).max(1);
    let mut cut = Vec::new();
    let mut start = vec![0; shape.len()];
    'boxes: loop {
        let mut size = vec![1; shape.len()];
        size[axis] = step.min(shape[axis] - start[axis]);
        size[axis + 1..].copy_from_slice(&shape[axis + 1..]);
        cut.push((start.clone(), size));
        start[axis] += step;
        if start[axis] < shape[axis] {
            continue;
        }
        start[axis] = 0;
        for outer in (0..axis).rev() {
            start[outer] += 1;
            if start[outer] < shape[outer] {
                continue 'boxes;
            }
            start[outer] = 0;
        }
        return cut;
    }
}

/// What makes the values.
enum Source {
    Native(fanin::Job),
    Torch(Torch),
}

impl Source {
    /// Makes the values of a tensor and hands them on, a chunk at a time.
    fn draw(
        &mut self,
        name: &str,
        plan: &Plan,
        mut give: impl FnMut(Values) -> bool,
    ) -> std::result::Result<(), fanin::Error> {
        match self {
            Source::Native(job) => {
                let prepared = job.tensor(name)?.prepare(plan)?;
                for (start, size) in boxes(plan.shape(), CHUNK) {
                    let mut values = Values::new(plan.dtype(), size.iter().product());
                    prepared.fill_box(&start, values.tensor(&size)?)?;
                    if !give(values) {
                        break;
                    }
                }
            }
            // A sequential stream fills whole tensors: as much memory as the largest one.
            Source::Torch(torch) => {
                let mut values = Values::new(plan.dtype(), plan.len());
                torch.fill(plan, values.tensor(plan.shape())?)?;
                give(values);
            }
        }
        Ok(())
    }
}

/// Writes a checkpoint of these tensors to `path`: made on one thread while another writes.
///
/// # Errors
/// A name that stands twice, what the stream cannot draw, what the system says to writing. The target is then as it
/// was.
pub fn checkpoint(
    path: &Path,
    force: bool,
    planned: &[Planned],
    metadata: &[(String, String)],
    (stream, seed): (StreamName, u64),
    progress: &Progress,
) -> Result {
    let entries: Vec<_> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let mut file = Unfinished::new(path)?;
    file.write(&header::bytes(&entries, metadata))?;
    let mut source = match stream {
        StreamName::Native => Source::Native(Native::new(seed).job()),
        StreamName::Torch => Source::Torch(Torch::new(seed)),
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<u8>>(2);
        let maker = scope.spawn(move || -> Result {
            for planned in planned {
                let name = &planned.entry.name;
                let give = |values: Values| sender.send(values.into_bytes()).is_ok();
                match (&planned.plan, planned.integer) {
                    (Some(plan), _) => source
                        .draw(name, plan, give)
                        .map_err(|source| Error::Tensor { tensor: name.clone(), source })?,
                    (None, value) => {
                        let value = value.unwrap_or_default().to_le_bytes();
                        let bytes = value[..planned.entry.dtype.size()].repeat(planned.entry.values());
                        _ = give(Values::Bytes(bytes));
                    }
                }
            }
            Ok(())
        });
        for bytes in receiver {
            file.write(&bytes)?;
            progress.add(bytes.len() as u64);
        }
        maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    file.finish(force)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_consecutive_stretches_and_cover_the_shape() {
        for (shape, most) in [
            (&[][..], 4),
            (&[10], 4),
            (&[10], 100),
            (&[3, 5], 4),
            (&[3, 5], 7),
            (&[3, 5], 10),
            (&[2, 3, 4], 5),
            (&[2, 3, 4], 1),
            (&[2, 1, 3, 2], 3),
            (&[0, 3], 4),
        ] {
            let mut next = 0;
            for (start, size) in boxes(shape, most) {
                assert!(size.iter().product::<usize>() <= most);
                let first = start.iter().zip(shape).fold(0, |at, (&start, &size)| at * size + start);
                assert_eq!(first, next, "{shape:?} {most} {start:?}");
                next += size.iter().product::<usize>();
            }
            assert_eq!(next, shape.iter().product::<usize>(), "{shape:?} {most}");
        }
    }
}
