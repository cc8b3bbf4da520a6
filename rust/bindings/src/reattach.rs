//! Descriptions of running plugins, as dicts.

use ferrule_core::error::ErrorKind;
use ferrule_core::reattach::{self, ReattachConfig, ReattachTls};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use zeroize::Zeroizing;

use crate::convert::address;
use crate::errors::to_py_err;

/// One description as Python passes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedReattachConfig {
    protocol: String,
    protocol_version: u32,
    network: String,
    address: String,
    pid: Option<i32>,
    test: bool,
    tls: Option<PassedReattachTls>,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PassedReattachTls {
    certificate: String,
    private_key: String,
    server_certificate: String,
}

/// Reads one description.
#[pyfunction]
pub(crate) fn parse_reattach_config<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyDict>> {
    to_dict(py, &reattach::parse(text).map_err(|error| to_py_err(&error))?)
}

/// Reads descriptions by name, as Terraform does from `TF_REATTACH_PROVIDERS`; each dict has its `name` too.
#[pyfunction]
pub(crate) fn parse_reattach<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, config) in reattach::parse_named(text).map_err(|error| to_py_err(&error))? {
        let dict = to_dict(py, &config)?;
        dict.set_item("name", name)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// Writes one description as JSON with go-plugin's names.
#[pyfunction]
pub(crate) fn format_reattach_config(config: PassedReattachConfig) -> String {
    reattach::format(&ReattachConfig {
        protocol: config.protocol,
        protocol_version: config.protocol_version,
        network: config.network,
        address: config.address,
        pid: config.pid,
        test: config.test,
        tls: config.tls.map(|tls| ReattachTls {
            certificate: tls.certificate,
            private_key: Zeroizing::new(tls.private_key),
            server_certificate: tls.server_certificate,
        }),
    })
}

/// Refuses what cannot be the address of a running plugin.
#[pyfunction]
pub(crate) fn check_reattach_address(network: &str, location: &str) -> PyResult<()> {
    address(network, location, ErrorKind::ReattachInvalid).map(drop)
}

fn to_dict<'py>(py: Python<'py>, config: &ReattachConfig) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("protocol", &config.protocol)?;
    dict.set_item("protocol_version", config.protocol_version)?;
    dict.set_item("network", &config.network)?;
    dict.set_item("address", &config.address)?;
    dict.set_item("pid", config.pid)?;
    dict.set_item("test", config.test)?;
    let tls = config.tls.as_ref().map(|tls| {
        let fields = PyDict::new(py);
        fields.set_item("certificate", &tls.certificate)?;
        fields.set_item("private_key", tls.private_key.as_str())?;
        fields.set_item("server_certificate", &tls.server_certificate)?;
        PyResult::Ok(fields)
    });
    dict.set_item("tls", tls.transpose()?)?;
    Ok(dict)
}
