//! Stretches of a tensor that stand in it twice: what a sharded run leaves when two shards draw the same numbers.

use std::collections::HashMap;

use crate::checkpoint::set::Checkpoints;
use crate::error::Result;

/// Values that make a probe. Of an honest draw, even in bf16, so many agree by chance in less than 1 of 1e15 places.
const LENGTH: usize = 12;

/// How many probes are looked for. Of a block that stands twice and makes one part in p of the tensor all are missed
/// with probability (1 - 1/p)^48.
const PROBES: usize = 48;

/// Short stretches, and where they were taken.
#[derive(Debug, Default)]
pub struct Probes {
    taken: Vec<(usize, [u64; LENGTH])>,
    by_first: HashMap<u64, Vec<usize>>,
    /// A bit for each value that a probe begins with, by its hash: most values end here.
    sieve: Vec<u64>,
    tail: Vec<f64>,
    position: usize,
    /// Where a probe was taken, and where it stands again.
    pub found: Option<(usize, usize)>,
}

fn slot(bits: u64) -> usize {
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

impl Probes {
    /// Takes probes evenly over the tensor of that number. One with a value twice in it proves nothing and is left.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn take(checkpoint: &mut Checkpoints, number: usize) -> Result<Self> {
        let count = checkpoint.manifest.entries[number].values();
        let mut probes = Probes { sieve: vec![0; 64], ..Probes::default() };
        if count < 4 * LENGTH {
            return Ok(probes);
        }
        let starts: Vec<usize> =
            (0..PROBES).map(|k| ((count - LENGTH) as u128 * k as u128 / PROBES as u128) as usize).collect();
        for start in starts {
            let window = checkpoint.window(number, start, LENGTH)?;
            let bits: [u64; LENGTH] = std::array::from_fn(|k| window[k].to_bits());
            let mut distinct = bits.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() + 2 < LENGTH || window.iter().any(|x| !x.is_finite()) {
                continue;
            }
            let at = slot(bits[0]);
            probes.sieve[at / 64] |= 1 << (at % 64);
            probes.by_first.entry(bits[0]).or_default().push(probes.taken.len());
            probes.taken.push((start, bits));
        }
        Ok(probes)
    }

    /// Looks for the probes in the next values.
    pub fn add(&mut self, values: &[f64]) {
        if self.taken.is_empty() || self.found.is_some() {
            return;
        }
        // A stretch may begin in the chunk before.
        let before = self.tail.len();
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend(&values[..values.len().min(LENGTH - 1)]);
        self.look(&seam, self.position - before);
        self.look(values, self.position);
        self.position += values.len();
        let all = if values.len() >= LENGTH { values } else { &seam };
        self.tail = all[all.len() - all.len().min(LENGTH - 1)..].to_vec();
    }

    fn look(&mut self, values: &[f64], from: usize) {
        for (k, value) in values.iter().enumerate() {
            let bits = value.to_bits();
            let at = slot(bits);
            if self.sieve[at / 64] & (1 << (at % 64)) == 0 {
                continue;
            }
            let Some(numbers) = self.by_first.get(&bits) else { continue };
            let Some(window) = values.get(k..k + LENGTH) else { continue };
            for &number in numbers {
                let (start, probe) = &self.taken[number];
                if *start != from + k && window.iter().zip(probe).all(|(x, bits)| x.to_bits() == *bits) {
                    self.found = Some(((*start).min(from + k), (*start).max(from + k)));
                    return;
                }
            }
        }
    }
}
