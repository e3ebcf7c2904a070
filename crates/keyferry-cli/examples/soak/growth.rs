//! Samples the memory, the descriptors and the threads of this process, and says whether they grow.

use std::fs;
use std::time::Duration;

/// The memory may grow by this much in 10 min.
const MAX_KIB_PER_10_MIN: f64 = 1024.0;
/// In a run that is too short for a slope, the memory may grow by this much from the second quarter
/// of the run to the last.
const MAX_KIB_SHORT: f64 = 1024.0;
/// The shortest run whose slope is meaningful.
const SHORTEST_FOR_SLOPE_S: f64 = 600.0;
/// The descriptors that calls in progress may have open: sockets, and pipes of the helper.
const MAX_MORE_DESCRIPTORS: f64 = 3.0;
/// The threads that calls in progress may have.
const MAX_MORE_THREADS: f64 = 3.0;

struct Sample {
    at_s: f64,
    memory_kib: f64,
    descriptors: f64,
    threads: f64,
}

/// The samples of a run.
#[derive(Default)]
pub(crate) struct Growth(Vec<Sample>);

impl Growth {
    pub(crate) fn sample(&mut self, at: Duration) {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let number = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
        };
        self.0.push(Sample {
            at_s: at.as_secs_f64(),
            memory_kib: number("RssAnon:"),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count() as f64,
            threads: number("Threads:"),
        });
    }

    /// Prints the growth, and returns which bounds it exceeds. Leaves out the first quarter of the
    /// run, in which caches and pools fill.
    pub(crate) fn failures(&self) -> Vec<String> {
        let settled = &self.0[self.0.len() / 4..];
        let third = settled.len() / 3;
        let (early, late) = (&settled[..third], &settled[settled.len() - third..]);
        let more = |value: fn(&Sample) -> f64| mean(late, value) - mean(early, value);
        let (descriptors, threads) = (more(|it| it.descriptors), more(|it| it.threads));
        let length_s = self.0.last().map_or(0.0, |sample| sample.at_s);
        let (memory_kib, max_kib, span) = if length_s < SHORTEST_FOR_SLOPE_S {
            (more(|it| it.memory_kib), MAX_KIB_SHORT, "this run")
        } else {
            (slope(settled) * 600.0, MAX_KIB_PER_10_MIN, "10 min")
        };
        println!(
            "growth in {span}: {memory_kib:.0} KiB (at most {max_kib:.0}) of {:.0}; {descriptors:.1} descriptors of {:.0}; \
             {threads:.1} threads of {:.0}",
            mean(late, |it| it.memory_kib),
            mean(late, |it| it.descriptors),
            mean(late, |it| it.threads),
        );
        let bounds = [
            ("KiB of memory", memory_kib, max_kib),
            ("descriptors", descriptors, MAX_MORE_DESCRIPTORS),
            ("threads", threads, MAX_MORE_THREADS),
        ];
        let exceeds = |(what, more, most): &(&str, f64, f64)| {
            (more >= most)
                .then(|| format!("{more:.1} more {what} in {span}, at most {most} allowed"))
        };
        bounds.iter().filter_map(exceeds).collect()
    }
}

fn mean(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(value).sum::<f64>() / samples.len() as f64
}

/// Returns the memory's growth in KiB for each second, by the method of least squares.
fn slope(samples: &[Sample]) -> f64 {
    let (at, memory) = (
        mean(samples, |it| it.at_s),
        mean(samples, |it| it.memory_kib),
    );
    let products = samples
        .iter()
        .map(|it| (it.at_s - at) * (it.memory_kib - memory));
    let squares = samples.iter().map(|it| (it.at_s - at).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}
