/*!
The machine that is measured on: one core for the proxies, one for everything else, and the CPU time of a process.
*/
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, Pid, sched_setaffinity};
use tokio::runtime::Runtime;
use tokio::time::sleep;

/// Where the Envoys run, alone.
const ENVOY_CORE: usize = 0;

/// Where load, backends and whatever else there is run.
const LOAD_CORE: usize = 1;

/// Keeps this process, and all that it will start, off the Envoys' core.
pub(crate) fn pin_self() -> Result<()> {
    ensure!(cores()? > LOAD_CORE, "this needs two cores: one for the Envoys, one for the load");
    pin(None, LOAD_CORE)
}

/// Puts every thread of an Envoy on the Envoys' core. Threads that it starts later follow.
pub(crate) fn pin_envoy(pid: u32) -> Result<()> {
    for thread in threads(pid)? {
        pin(Pid::from_raw(thread), ENVOY_CORE)?;
    }
    Ok(())
}

fn pin(thread: Option<Pid>, core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(thread, &cores).with_context(|| format!("cannot pin to core {core}"))
}

/// The CPU time that all threads of a process have used so far.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in threads(pid)? {
        let path = format!("/proc/{pid}/task/{thread}/schedstat");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let on_cpu = text.split_whitespace().next().and_then(|first| first.parse().ok());
        total += Duration::from_nanos(on_cpu.with_context(|| format!("{path} says {text:?}"))?);
    }
    Ok(total)
}

fn threads(pid: u32) -> Result<Vec<i32>> {
    let folder = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&folder).with_context(|| folder.clone())?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.collect())
}

/// How much of the machine others may use before figures are spoilt.
const TOLERABLE: f64 = 0.05;

/// How long to look whether the machine is quiet, and how long to wait until it is.
const LOOK: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_hours(1);

/// What goes on besides, while something is measured.
#[derive(Debug)]
pub(crate) struct Bystander<'e> {
    /// Ours, as this process is.
    envoys: &'e [u32],
    since: Instant,
    /// CPU time of the whole machine that was not ours, up to then.
    others: Duration,
}

impl<'e> Bystander<'e> {
    /// Begins to look.
    pub(crate) fn start(envoys: &'e [u32]) -> Result<Self> {
        Ok(Self { envoys, since: Instant::now(), others: others(envoys)? })
    }

    /// The share of the machine that others have used since.
    pub(crate) fn share(&self) -> Result<f64> {
        let used = others(self.envoys)?.saturating_sub(self.others);
        let machine = self.since.elapsed() * u32::try_from(cores()?)?;
        Ok(used.as_secs_f64() / machine.as_secs_f64())
    }

    /// Whether others have used so much since that figures are spoilt.
    pub(crate) fn was_disturbed(&self) -> Result<bool> {
        Ok(self.share()? > TOLERABLE)
    }
}

/// Waits for a moment in which nobody else uses the machine.
pub(crate) fn wait_for_quiet(runtime: &Runtime, envoys: &[u32]) -> Result<()> {
    let since = Instant::now();
    loop {
        let bystander = Bystander::start(envoys)?;
        wait(runtime, LOOK);
        if !bystander.was_disturbed()? {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "others have been busy on this machine for an hour");
    }
}

/// Lets time pass.
pub(crate) fn wait(runtime: &Runtime, time: Duration) {
    runtime.block_on(async { sleep(time).await });
}

/// The CPU time that others have used since the machine was started, the hypervisor included.
fn others(envoys: &[u32]) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let mut times = stat.split_whitespace().skip(1).map(|ticks| ticks.parse().unwrap_or(0_u64));
    let mut next = || times.next().unwrap_or(0);
    let (user, nice, system, _idle, _io_wait) = (next(), next(), next(), next(), next());
    let (irq, soft_irq, steal) = (next(), next(), next());
    // A tick is a hundredth of a second on every Linux there is, whatever the kernel's own rhythm.
    let busy = Duration::from_millis((user + nice + system + irq + soft_irq + steal) * 10);
    let mut ours = cpu_time(std::process::id())?;
    for &envoy in envoys {
        ours += cpu_time(envoy)?;
    }
    Ok(busy.saturating_sub(ours))
}

/// CPU model, cores and kernel, in a line.
pub(crate) fn describe() -> Result<String> {
    let cpus = cpu_info()?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{model}, {} cores, Linux {}", cores()?, kernel.trim()))
}

/// How many cores the machine has, whichever of them this process may use.
fn cores() -> Result<usize> {
    Ok(cpu_info()?.lines().filter(|line| line.starts_with("processor")).count())
}

fn cpu_info() -> Result<String> {
    fs::read_to_string("/proc/cpuinfo").context("no /proc/cpuinfo: this needs Linux")
}
