//! Selects the partition that this process writes. An argument gives the partition, or the partition is read from the
//! environment variables of a launcher (Slurm, torchrun, MPI and others).

use crate::error::{Error, Remedy, Result};
use crate::options::Partition;

/// The argument that says which partition this process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionArgument {
    /// The given partition.
    Partition(Partition),
    /// The partition is read from the environment variables of the launcher. The field is the number of partitions. If
    /// the field is `None`, this number is read from the environment variables too. `Some` is required for launchers
    /// that set no variable for the number, such as Kubernetes.
    Auto(Option<usize>),
}

/// Parses `2/4` (the second of four partitions), `auto`, or `auto/4`.
///
/// # Errors
/// Returns a message if `text` does not have one of these forms.
pub fn parse_partition(text: &str) -> std::result::Result<PartitionArgument, String> {
    let read = |text: &str| text.trim().parse::<usize>().ok();
    if text == "auto" {
        return Ok(PartitionArgument::Auto(None));
    }
    let (number, count) = text.split_once('/').ok_or(
        "expected k/n, for example 1/4 for the first of four processes, or auto, which uses the launcher's environment variables",
    )?;
    match (number, read(number), read(count)) {
        ("auto", _, Some(count)) if count > 0 => Ok(PartitionArgument::Auto(Some(count))),
        (_, Some(number), Some(count)) if (1..=count).contains(&number) => {
            Ok(PartitionArgument::Partition(Partition { number, count }))
        }
        (_, Some(0), Some(_)) => {
            Err("processes are counted from 1: the first of four processes is 1/4".to_owned())
        }
        _ => Err(format!("{text:?} is not k/n with k from 1 to n: the last of four processes is 4/4")),
    }
}

/// The environment variables of a launcher, such as Slurm or torchrun. They give a process its index and the number of
/// processes.
struct Launcher {
    name: &'static str,
    /// The environment variable that contains the index of this process.
    index: &'static str,
    /// The environment variable that contains the index of the first process. `None` means that the first process has
    /// index 0.
    first: Option<&'static str>,
    /// The environment variable that contains the difference between the indices of successive processes. The
    /// difference is 3 if the processes have the indices 1, 4 and 7. `None` means that the difference is 1.
    step: Option<&'static str>,
    /// The environment variable that contains the number of processes. `None` means that the launcher sets no such
    /// variable.
    count: Option<&'static str>,
}

/// Returns a launcher whose processes have the indices 0, 1, 2, ...
const fn launcher(name: &'static str, index: &'static str, count: Option<&'static str>) -> Launcher {
    Launcher { name, index, first: None, step: None, count }
}

const LAUNCHERS: [Launcher; 7] = [
    Launcher {
        name: "a Slurm array",
        index: "SLURM_ARRAY_TASK_ID",
        first: Some("SLURM_ARRAY_TASK_MIN"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        count: Some("SLURM_ARRAY_TASK_COUNT"),
    },
    launcher("srun", "SLURM_PROCID", Some("SLURM_STEP_NUM_TASKS")),
    launcher("torchrun", "RANK", Some("WORLD_SIZE")),
    launcher("Open MPI", "OMPI_COMM_WORLD_RANK", Some("OMPI_COMM_WORLD_SIZE")),
    launcher("MPI", "PMI_RANK", Some("PMI_SIZE")),
    launcher("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", Some("AWS_BATCH_JOB_ARRAY_SIZE")),
    launcher("Kubernetes", "JOB_COMPLETION_INDEX", None),
];

impl PartitionArgument {
    /// Returns the partition of this process. `variable` returns the value of an environment variable, or `None`.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] if the variables of no launcher are set, or if the variables of two launchers
    /// contradict each other. Other causes are a variable that is not a number, an index that is out of range, and an
    /// unknown number of processes.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Partition> {
        let count = match self {
            PartitionArgument::Partition(partition) => return Ok(partition),
            PartitionArgument::Auto(count) => count,
        };
        let mut found = Vec::new();
        for launcher in &LAUNCHERS {
            found.extend(launcher.partition(count, &variable)?.map(|partition| (launcher, partition)));
        }
        // A launcher of several processes takes precedence over launchers of a single process. For example, each job of
        // a Slurm array may start a single process with srun.
        if found.iter().any(|(_, partition)| partition.count > 1) {
            found.retain(|(_, partition)| partition.count > 1);
        }
        let Some((first, partition)) = found.first() else {
            let names: Vec<_> = LAUNCHERS.iter().map(|launcher| launcher.index).collect();
            let message = format!("found no launcher: none of {} is set", names.join(", "));
            return Err(Error::Refused { message, remedy: Remedy::Partition });
        };
        if let Some((other, second)) = found.iter().find(|(_, other)| other != partition) {
            let message = format!(
                "the launchers contradict each other: {} says {}/{}, {} says {}/{}",
                first.name, partition.number, partition.count, other.name, second.number, second.count,
            );
            return Err(Error::Refused { message, remedy: Remedy::Partition });
        }
        Ok(*partition)
    }
}

impl Launcher {
    /// Returns the partition of this process, or `None` if the variables of this launcher are not set. If the argument
    /// `count` is `Some`, it replaces the launcher's number of processes.
    fn partition(
        &self,
        count: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Partition>> {
        let refused = |message: String, remedy: Remedy| Error::Refused { message, remedy };
        let read = |name: &str| -> Result<Option<usize>> {
            let Some(text) = variable(name) else { return Ok(None) };
            let number = text.trim().parse();
            number
                .map(Some)
                .map_err(|_| refused(format!("{name}={text:?} is not a number"), Remedy::Partition))
        };
        let Some(index) = read(self.index)? else { return Ok(None) };
        let read_or = |name: Option<&str>, default: usize| -> Result<usize> {
            Ok(name.map(read).transpose()?.flatten().unwrap_or(default))
        };
        let launched = self.count.map(read).transpose()?.flatten();
        let Some(count) = count.or(launched) else {
            let Launcher { name, index, .. } = self;
            let message = format!("{name} sets {index}, but not the number of processes");
            return Err(refused(message, Remedy::PartitionCount));
        };
        let (first, step) =
            (read_or(self.first, usize::from(self.first.is_some()))?, read_or(self.step, 1)?.max(1));
        let number = index.checked_sub(first).map(|distance| distance / step + 1);
        let number = number.filter(|&number| number <= count && first + (number - 1) * step == index);
        match number {
            Some(number) => Ok(Some(Partition { number, count })),
            None => {
                let name = self.index;
                let message = format!(
                    "{name}={index} is not the index of one of {count} processes counted from {first} in steps of {step}"
                );
                Err(refused(message, Remedy::Partition))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(text: &str, variables: &[(&str, &str)]) -> std::result::Result<(usize, usize), String> {
        let found =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let partition = parse_partition(text).unwrap().resolve(found).map_err(|error| error.to_string())?;
        Ok((partition.number, partition.count))
    }

    #[test]
    fn partitions_are_parsed() {
        assert_eq!(
            parse_partition("2/4"),
            Ok(PartitionArgument::Partition(Partition { number: 2, count: 4 }))
        );
        assert_eq!(parse_partition("auto/4"), Ok(PartitionArgument::Auto(Some(4))));
        for text in ["0/4", "5/4", "1", "1/", "/", "-1/4", "1/0", "a/b", "auto/0", "auto/", "gpt2"] {
            assert!(parse_partition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_environment_variables_of_a_launcher_give_the_partition() {
        let array =
            [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "1")];
        assert_eq!(auto("auto", &[&array[..], &[("SLURM_ARRAY_TASK_STEP", "3")]].concat()), Ok((3, 4)));
        assert!(
            auto("auto", &array).unwrap_err().contains("SLURM_ARRAY_TASK_ID=7 is not the index of one of 4")
        );
        let zero =
            [("SLURM_ARRAY_TASK_ID", "0"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "0")];
        assert_eq!(auto("auto", &zero), Ok((1, 2)));
        assert_eq!(auto("auto", &[("RANK", "1"), ("WORLD_SIZE", "2")]), Ok((2, 2)));
        assert_eq!(auto("auto", &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")]), Ok((1, 2)));
        assert_eq!(auto("auto", &[("PMI_RANK", "2"), ("PMI_SIZE", "3")]), Ok((3, 3)));
        assert_eq!(auto("auto/5", &[("JOB_COMPLETION_INDEX", "4")]), Ok((5, 5)));
        // These are the variables of a Slurm array of two jobs, where srun starts one process in each job.
        let srun = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(auto("auto", &[&zero[..], &srun].concat()), Ok((1, 2)));
        for (variables, needle) in [
            (&[][..], "no launcher"),
            (&[("JOB_COMPLETION_INDEX", "0")], "not the number of processes"),
            (&[("RANK", "x"), ("WORLD_SIZE", "2")], "RANK=\"x\" is not a number"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "not the index of one of 2"),
            (&[("RANK", "1"), ("WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "2")], "MPI says 1/2"),
        ] {
            let error = auto("auto", variables).unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
    }
}
