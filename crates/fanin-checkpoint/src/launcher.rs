//! Which of several processes this one is: as it is told, or as its launcher says.

use crate::error::{Error, Remedy, Result};
use crate::options::Partition;

/// What `--part` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionArgument {
    /// This part.
    Partition(Partition),
    /// The launcher knows; how many there are may be said.
    Auto(Option<usize>),
}

/// Reads `2/4`, `auto` or `auto/4`.
///
/// # Errors
/// What is none of these.
pub fn parse_partition(text: &str) -> std::result::Result<PartitionArgument, String> {
    let read = |text: &str| text.trim().parse::<usize>().ok();
    if text == "auto" {
        return Ok(PartitionArgument::Auto(None));
    }
    let (number, count) = text
        .split_once('/')
        .ok_or("write it as k/n: 1/4 is the first of four processes; or as auto, which asks the launcher")?;
    match (number, read(number), read(count)) {
        ("auto", _, Some(count)) if count > 0 => Ok(PartitionArgument::Auto(Some(count))),
        (_, Some(number), Some(count)) if (1..=count).contains(&number) => {
            Ok(PartitionArgument::Partition(Partition { number, count }))
        }
        (_, Some(0), Some(_)) => Err("processes are counted from 1: the first of four is 1/4".to_owned()),
        _ => Err(format!("{text:?} is no k/n with k from 1 to n: the last of four processes is 4/4")),
    }
}

/// Variables that tell which process this is and how many there are.
struct Launcher {
    name: &'static str,
    which: &'static str,
    /// The number of the first process: a variable, or nothing for 0.
    first: Option<&'static str>,
    step: Option<&'static str>,
    count: Option<&'static str>,
}

const fn launcher(name: &'static str, which: &'static str, count: Option<&'static str>) -> Launcher {
    Launcher { name, which, first: None, step: None, count }
}

const LAUNCHERS: [Launcher; 7] = [
    Launcher {
        name: "a Slurm array",
        which: "SLURM_ARRAY_TASK_ID",
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
    /// The part, for which a launcher's variables are looked up with `variable`.
    ///
    /// # Errors
    /// No launcher, several that disagree, or one that does not tell how many processes there are.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Partition> {
        let count = match self {
            PartitionArgument::Partition(part) => return Ok(part),
            PartitionArgument::Auto(count) => count,
        };
        let mut found = Vec::new();
        for launcher in &LAUNCHERS {
            found.extend(launcher.partition(count, &variable)?.map(|part| (launcher, part)));
        }
        // One that has started a single process says nothing beside one that has started many.
        if found.iter().any(|(_, part)| part.count > 1) {
            found.retain(|(_, part)| part.count > 1);
        }
        let Some((first, part)) = found.first() else {
            let names: Vec<_> = LAUNCHERS.iter().map(|launcher| launcher.which).collect();
            let message = format!("no launcher says which process this is ({})", names.join(", "));
            return Err(Error::Refused { message, remedy: Remedy::Partition });
        };
        if let Some((other, second)) = found.iter().find(|(_, other)| other != part) {
            let message = format!(
                "by {} this is part {}/{}, by {} it is {}/{}",
                first.name, part.number, part.count, other.name, second.number, second.count,
            );
            return Err(Error::Refused { message, remedy: Remedy::Partition });
        }
        Ok(*part)
    }
}

impl Launcher {
    fn partition(
        &self,
        count: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Partition>> {
        let wrong = |message: String, remedy: Remedy| Error::Refused { message, remedy };
        let read = |name: &str| -> Result<Option<usize>> {
            let Some(text) = variable(name) else { return Ok(None) };
            let number = text.trim().parse();
            number.map(Some).map_err(|_| wrong(format!("{name}={text:?} is no number"), Remedy::Partition))
        };
        let Some(which) = read(self.which)? else { return Ok(None) };
        let or = |name: Option<&str>, otherwise: usize| -> Result<usize> {
            Ok(name.map(read).transpose()?.flatten().unwrap_or(otherwise))
        };
        let told = self.count.map(read).transpose()?.flatten();
        let Some(all) = count.or(told) else {
            let Launcher { name, which, .. } = self;
            let what = format!("{name} says which process this is ({which}), and not of how many");
            return Err(wrong(what, Remedy::PartitionCount));
        };
        let (first, step) = (or(self.first, usize::from(self.first.is_some()))?, or(self.step, 1)?.max(1));
        let number = which.checked_sub(first).map(|after| after / step + 1).filter(|number| *number <= all);
        let exact = number.filter(|number| first + (number - 1) * step == which);
        match exact {
            Some(number) => Ok(Some(Partition { number, count: all })),
            None => {
                let name = self.which;
                let what = format!(
                    "{name}={which} is none of {all} processes counted from {first} in steps of {step}"
                );
                Err(wrong(what, Remedy::Partition))
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
        let part = parse_partition(text).unwrap().resolve(found).map_err(|error| error.to_string())?;
        Ok((part.number, part.count))
    }

    #[test]
    fn shares_as_they_are_typed() {
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
    fn launchers_are_asked() {
        let array =
            [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "1")];
        assert_eq!(auto("auto", &[&array[..], &[("SLURM_ARRAY_TASK_STEP", "3")]].concat()), Ok((3, 4)));
        assert!(auto("auto", &array).unwrap_err().contains("SLURM_ARRAY_TASK_ID=7 is none of 4"));
        let zero =
            [("SLURM_ARRAY_TASK_ID", "0"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "0")];
        assert_eq!(auto("auto", &zero), Ok((1, 2)));
        assert_eq!(auto("auto", &[("RANK", "1"), ("WORLD_SIZE", "2")]), Ok((2, 2)));
        assert_eq!(auto("auto", &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")]), Ok((1, 2)));
        assert_eq!(auto("auto", &[("PMI_RANK", "2"), ("PMI_SIZE", "3")]), Ok((3, 3)));
        assert_eq!(auto("auto/5", &[("JOB_COMPLETION_INDEX", "4")]), Ok((5, 5)));
        // One process of srun in an array.
        let srun = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(auto("auto", &[&zero[..], &srun].concat()), Ok((1, 2)));
        for (variables, needle) in [
            (&[][..], "no launcher"),
            (&[("JOB_COMPLETION_INDEX", "0")], "not of how many"),
            (&[("RANK", "x"), ("WORLD_SIZE", "2")], "RANK=\"x\" is no number"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "none of 2"),
            (&[("RANK", "1"), ("WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "2")], "by MPI it is 1/2"),
        ] {
            let said = auto("auto", variables).unwrap_err();
            assert!(said.contains(needle), "{said}");
        }
    }
}
