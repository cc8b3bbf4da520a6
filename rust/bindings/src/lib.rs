//! The extension module `ferrule._core`: the only place with `PyO3`. No logic lives here, only conversion.

mod arrival;
mod bell;
mod broker;
mod call;
mod certificate;
mod channel;
mod channel_settings;
mod convert;
mod detached;
mod errors;
mod fork_safe;
mod frames;
mod host;
mod io_thread;
mod lent;
mod mailbox;
mod metadata;
mod panic_hook;
mod panics;
mod plugin_facts;
mod reading;
mod reattach;
mod runner;
mod server;
mod settings;
mod stream;
mod stream_state;
mod waiting_thread;
mod work_queue;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Version, profile and target of this build.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", ferrule_core::VERSION)?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    Ok(info)
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    panics::tame(module.py())?;
    module.add("__version__", ferrule_core::VERSION)?;
    module.add_class::<mailbox::Mailbox>()?;
    module.add_class::<host::Host>()?;
    module.add_class::<broker::Broker>()?;
    module.add_class::<broker::BrokerListener>()?;
    module.add_class::<broker::Dialling>()?;
    module.add_class::<runner::RunnerRequests>()?;
    module.add_class::<runner::LaunchOrder>()?;
    module.add_class::<server::PluginServer>()?;
    module.add_class::<server::ServerFacts>()?;
    module.add_class::<server::BrokerStream>()?;
    module.add_class::<channel::Channel>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<certificate::Certificate>()?;
    module.add_class::<plugin_facts::Facts>()?;
    module.add_class::<plugin_facts::CertificateFacts>()?;
    module.add_class::<plugin_facts::StopReport>()?;
    module.add_class::<frames::FrameDecoder>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<arrival::Arrival>()?;
    let after_fork = PyDict::new(module.py());
    after_fork.set_item("after_in_child", wrap_pyfunction!(io_thread::after_fork, module)?)?;
    module.py().import("os")?.call_method("register_at_fork", (), Some(&after_fork))?;
    module.add_function(wrap_pyfunction!(io_thread::is_forked, module)?)?;
    let stop_other_threads = wrap_pyfunction!(detached::stop_other_threads, module)?;
    // First registered, hence last to run.
    module.py().import("atexit")?.call_method1("register", (stop_other_threads,))?;
    module.add_function(wrap_pyfunction!(build_info, module)?)?;
    module.add_function(wrap_pyfunction!(panics::provoke_panic, module)?)?;
    module.add_function(wrap_pyfunction!(reading::set_reader, module)?)?;
    module.add_function(wrap_pyfunction!(errors::error_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(frames::encode_frame, module)?)?;
    module.add_function(wrap_pyfunction!(channel::authority_of, module)?)?;
    module.add_function(wrap_pyfunction!(convert::parse_handshake, module)?)?;
    module.add_function(wrap_pyfunction!(convert::find_program, module)?)?;
    module.add_function(wrap_pyfunction!(reattach::check_reattach_address, module)?)?;
    module.add_function(wrap_pyfunction!(reattach::parse_reattach, module)?)?;
    module.add_function(wrap_pyfunction!(reattach::parse_reattach_config, module)?)?;
    module.add_function(wrap_pyfunction!(reattach::format_reattach_config, module)?)?;
    module.add_function(wrap_pyfunction!(certificate::check_certificates, module)?)?;
    module.add_function(wrap_pyfunction!(certificate::check_pair, module)?)?;
    module.add_function(wrap_pyfunction!(host::live_plugins, module)?)?;
    module.add_function(wrap_pyfunction!(host::end_all, module)?)
}
