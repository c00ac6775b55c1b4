//! `cargo xtask up`: Larder with everything around it, a demo merchant to try it on, and one key to stop it all.
//!
//! Servers, then the operator's commands in their order, then `larder all`; the mails end in a catcher of this process.
//! With `--detach` the same happens in a copy of xtask that stays behind, see [`supervisor`].

mod demo;
mod larder;
mod mails;
mod supervisor;
mod watch;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::servers::{Instance, Running};
use crate::{interrupt, paths};
use demo::Demo;
use larder::Larder;
use mails::Mails;
use supervisor::Supervisor;
use watch::Watch;

pub(crate) use supervisor::stop;

/// Start everything, with a demo merchant, and print what to try.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Also post this many orders per second.
    #[arg(long, value_name = "N")]
    load: Option<u32>,
    /// Leave everything running until `cargo xtask down`.
    #[arg(long)]
    detach: bool,
    /// Rebuild and restart the services when a source file changes.
    #[arg(long)]
    watch: bool,
    /// Build with optimisation.
    #[arg(long)]
    release: bool,
    /// Go on with the data of the last run.
    #[arg(long)]
    keep: bool,
    /// Set in the copy that `--detach` leaves behind.
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

/// Runs the demo until Ctrl-C, or leaves it running.
pub(crate) fn up(args: &UpArgs) -> Result<()> {
    if let (Some(demo), true) = (Demo::read(), Supervisor::runs()) {
        println!("# already running; cargo xtask down stops it");
        print!("{}", demo.instructions());
        return Ok(());
    }
    if args.detach && !args.supervised {
        return supervisor::detach(args);
    }
    let mut supervisor = Supervisor::begin()?;
    let outcome = run(args, &mut supervisor);
    Supervisor::end();
    outcome
}

/// Everything in the order in which it is needed; leaving this function stops it in the opposite order.
fn run(args: &UpArgs, supervisor: &mut Supervisor) -> Result<()> {
    let began = Instant::now();
    let mut build = larder::start_build(args.release)?;
    let servers = Instance::demo(!args.keep).start();
    let status = build.wait()?;
    let mut servers = servers?;
    interrupt::check()?;
    if !status.success() {
        bail!("larder does not build; see above");
    }

    let mut mails = Mails::start(!args.keep)?;
    let mut larder = Larder::new(args.release, &servers.endpoints, mails.url())?;
    let seed = larder.set_up()?;
    let all = larder.start()?;
    supervisor.adopt(&all.identity)?;
    let mut services = Services { all, load: None };
    larder.wait(&mut services.all)?;

    let demo = Demo::new(&seed, &larder, &servers.endpoints, mails.dir());
    if let Some(rate) = args.load {
        let load = larder.start_load(rate, &demo)?;
        supervisor.adopt(&load.identity)?;
        services.load = Some(load);
    }
    println!(
        "\nLarder is up after {:.0} s. {}",
        began.elapsed().as_secs_f32(),
        how_to_stop(args)
    );
    print!("{}", demo.instructions());
    demo.write()?;

    let mut watch = args.watch.then(Watch::begin);
    while !interrupt::asked() {
        check(&mut servers, &mut services)?;
        mails.print_new();
        if watch.as_mut().is_some_and(Watch::changed) && larder::start_build(args.release)?.wait()?.success() {
            services.all.stop();
            services.all = larder.start()?;
            supervisor.adopt(&services.all.identity)?;
            larder.wait(&mut services.all)?;
            println!("# restarted with the changed sources");
        }
        thread::sleep(Duration::from_millis(200));
    }
    println!("# stopping");
    Ok(())
}

fn check(servers: &mut Running, services: &mut Services) -> Result<()> {
    servers.check()?;
    if let Some(status) = services.all.exited()? {
        bail!("larder died ({status}); {}", paths::tail(&services.all.log, 30));
    }
    if let Some(load) = &mut services.load
        && let Some(status) = load.exited()?
    {
        println!("# the load has ended ({status}); {}", paths::tail(&load.log, 5));
        services.load = None;
    }
    Ok(())
}

fn how_to_stop(args: &UpArgs) -> &'static str {
    if args.supervised {
        "`cargo xtask down` stops it."
    } else {
        "Ctrl-C stops it."
    }
}

/// Larder's processes, stopped before the servers they use.
struct Services {
    all: crate::process::Process,
    load: Option<crate::process::Process>,
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(load) = &mut self.load {
            load.stop();
        }
        self.all.stop();
    }
}
