//! Finds existing files that are complete and correct. A resumed write does not write these files again.

use fanin_recipe::Entry;

use crate::checkpoint_values::{CheckpointValues, Step};
use crate::comparison::{ByteComparison, HeaderDifference, header_difference};
use crate::error::{Error, Remedy, Result};
use crate::output_plan::FilePlan;
use crate::target::Target;

/// Returns the files that do not exist, or whose bytes differ from the planned bytes. The values are drawn for the
/// comparison.
///
/// # Errors
/// Returns an error if a file cannot be read, or if a file differs and must not be replaced.
pub(crate) fn differing_files(
    target: &Target,
    files: Vec<FilePlan>,
    entries: &[Entry],
    values: CheckpointValues<'_>,
) -> Result<Vec<FilePlan>> {
    let check_may_replace = |file: &FilePlan, difference: &str| -> Result {
        if target.existing.force {
            return Ok(());
        }
        let message = format!("differs from what would be written: {difference}");
        Err(Error::refused(&file.path, message, Remedy::Force))
    };
    let (mut differing, mut candidates) = (Vec::new(), Vec::new());
    for file in files {
        if !file.exists {
            differing.push(file);
            continue;
        }
        let difference = header_difference(&file.path, &file.header, file.size(entries))?;
        let difference = difference.map(|difference| match difference {
            HeaderDifference::Header => "its header has other tensors, another seed or another recipe",
            HeaderDifference::Size => "it has another size",
        });
        match difference {
            Some(difference) => {
                check_may_replace(&file, difference)?;
                differing.push(file);
            }
            None => candidates.push(file),
        }
    }
    let differences = first_differences(&candidates, values)?;
    for (file, difference) in candidates.into_iter().zip(differences) {
        if let Some(offset) = difference {
            check_may_replace(&file, &format!("its values differ, first at byte {offset}"))?;
            differing.push(file);
        }
    }
    differing.sort_by_key(|file| file.range.start());
    Ok(differing)
}

/// Returns the offset of the first differing byte in each file, or `None` for a file in which no byte differs.
fn first_differences(files: &[FilePlan], values: CheckpointValues<'_>) -> Result<Vec<Option<u64>>> {
    let ranges: Vec<_> = files.iter().map(|file| file.range.clone()).collect();
    let mut differences = Vec::new();
    let mut comparison: Option<ByteComparison> = None;
    values.for_each(&ranges, |step| {
        match step {
            Step::Begin(index) => {
                let FilePlan { path, header, .. } = &files[index];
                comparison = Some(ByteComparison::open(path, header.len() as u64)?);
            }
            Step::Bytes(bytes) => {
                if let Some(comparison) = &mut comparison {
                    comparison.compare(bytes)?;
                }
            }
            Step::End => {
                differences.extend(comparison.take().map(|comparison| comparison.first_difference()));
            }
        }
        Ok(())
    })?;
    Ok(differences)
}
