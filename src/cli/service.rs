//! service install, uninstall, status.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::domain::amount::{AmountError, parse_duration};
use crate::home::{self, Home};
use crate::report::page::Page;
use crate::report::service::{SearchDifference, ServiceCard};
use crate::report::words::quoted;
use crate::service::unit::Unit;
use crate::service::{Service, ServiceError, Step, Surroundings, real};

use super::arguments::{InstallArguments, ServiceVerb};
use super::context::{Context, told, warn};
use super::failure::Failure;

/// The exit code for a service that is not installed.
const NOT_INSTALLED: u8 = 3;

/// `service`.
pub(super) fn service(context: &mut Context, what: &ServiceVerb) -> Result<u8, Failure> {
    match what {
        ServiceVerb::Install(arguments) => install(context, arguments),
        ServiceVerb::Uninstall => uninstall(context),
        ServiceVerb::Status => status(context),
    }
}

fn install(context: &mut Context, arguments: &InstallArguments) -> Result<u8, Failure> {
    let sleep = arguments.sleep.as_deref().map(parse_duration).transpose();
    let sleep = sleep.map_err(|error: AmountError| Failure::input(error.to_string()))?;
    let (program, folder) = (std::env::current_exe()?, real(&context.root()?));
    let search = std::env::var_os("PATH");
    let unit = Unit { program: &program, folder: &folder, search: search.as_deref(), sleep };
    let text = unit.render().map_err(ServiceError::from)?;
    if arguments.print {
        let mut out = Page::default();
        out.write_all(text.as_bytes())?;
        out.print()?;
        return Ok(0);
    }
    let service = of(&folder)?;
    let before = service.ready().map_err(|error| without_systemd(error, &program, &folder))?;
    // Made where there is none, as by the first `add`: the unit needs the folder.
    let stands_by = context.executor()?.is_supervised() && before.pid.is_none();
    service.install(&text, !arguments.no_start, &mut |step| told(&sentence(&step, &service)))?;
    if stands_by && !arguments.no_start {
        warn("another supervisor has this folder; the service stands by and takes over when that one ends");
        told("hint: end it with Ctrl-C where it runs (`jobexec keep-restarting` names its pid); tasks go on running");
    }
    if !service.lingers() {
        let user = user();
        warn(&format!(
            "lingering is off for {user}: systemd starts the service when you log in, and ends it and what it started \
             when you log out"
        ));
        told(&format!("hint: to have it run from boot on, `loginctl enable-linger {user}`"));
    }
    Ok(0)
}

fn uninstall(context: &mut Context) -> Result<u8, Failure> {
    let folder = real(&context.root()?);
    let service = of(&folder)?;
    let mut tell = |step| told(&sentence(&step, &service));
    let uninstalled = service.uninstall(&mut tell).map_err(|error| {
        let way = error.is_without_systemd().then(|| {
            let file = quoted(&service.path().to_string_lossy());
            format!("where no systemd runs it is enough to remove the file: `rm {file}`")
        });
        let failure = Failure::from(error);
        way.into_iter().fold(failure, Failure::hint)
    })?;
    if uninstalled {
        told("Tasks that run go on running; until a supervisor is back nothing is started again by itself");
    } else {
        told(&format!("No service is installed for {}", folder.display()));
    }
    Ok(0)
}

fn status(context: &mut Context) -> Result<u8, Failure> {
    let folder = real(&context.root()?);
    let service = of(&folder)?;
    let status = service.status()?;
    let supervised = context.look()?.is_some_and(|executor| executor.is_supervised());
    let here = std::env::var("PATH").unwrap_or_default();
    let search = status.written.as_ref().and_then(|written| written.search.as_deref());
    let search = search.map(|unit| SearchDifference::between(unit, &here)).unwrap_or_default();
    let card = ServiceCard { service: &service, folder: &folder, status: &status, supervised, search };
    let mut out = Page::default();
    if context.json {
        crate::report::json::write(&card.json(), &mut out)?;
    } else {
        card.write(&mut out)?;
    }
    out.print()?;
    if let Some(Err(error)) = &status.state {
        warn(&error.to_string());
    }
    Ok(if status.written.is_some() { 0 } else { NOT_INSTALLED })
}

/// The service of a folder, in the surroundings of this command.
fn of(folder: &Path) -> Result<Service, Failure> {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let around =
        Surroundings { config_home: path("XDG_CONFIG_HOME"), home: path("HOME"), runtime: runtime(), user: user() };
    Ok(Service::of(folder, is_default(folder), &around)?)
}

/// Whether it is the folder that is used where none is named.
fn is_default(folder: &Path) -> bool {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let around = home::Surroundings { folder: None, state_home: path("XDG_STATE_HOME"), home: path("HOME") };
    Home::locate(None, &around).is_ok_and(|default| real(&default) == folder)
}

/// The user's runtime directory, where the environment does not say it although it is there, as after `su`.
fn runtime() -> Option<PathBuf> {
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let usual = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
    usual.is_dir().then_some(usual)
}

fn user() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    user.unwrap_or_else(|| uid.to_string())
}

fn sentence(step: &Step, service: &Service) -> String {
    let (name, path) = (service.name(), service.path().display());
    match step {
        Step::Writing => format!("Writing {path}"),
        Step::Replacing => format!("Replacing {path}"),
        Step::Keeping => format!("{path} is up to date"),
        Step::Enabling => format!("Enabling {name}"),
        Step::Starting => format!("Starting {name}"),
        Step::Restarting => format!("Restarting {name}; tasks go on running"),
        Step::Disabling => format!("Stopping {name}"),
        Step::Removing => format!("Removing {path}"),
    }
}

/// Where there is no systemd for this user: who else could start the supervisor.
fn without_systemd(error: ServiceError, program: &Path, folder: &Path) -> Failure {
    let is_without = error.is_without_systemd();
    let failure = Failure::from(error);
    if !is_without {
        return failure;
    }
    // In a crontab a percent sign is the end of the line.
    let word = |path: &Path| quoted(&path.to_string_lossy()).replace('%', "\\%");
    failure
        .hint(format!(
            "without systemd cron can do it: run `crontab -e` and add the line `@reboot {} --folder {} keep-restarting`",
            word(program),
            word(folder)
        ))
        .hint("`jobexec service install --print` prints the unit, to be installed by hand or elsewhere")
}
