//! Metadata between Python's pairs and the core.

use ferrule_core::grpc::call::Request;
use ferrule_core::grpc::compression::Encoding;
use ferrule_core::grpc::metadata::{BINARY_SUFFIX, Metadata, Value, append};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// The pair by which interceptors pass on a call's compression: grpcio's own convention.
const ENCODING_KEY: &str = "grpc-internal-encoding-request";

/// Adds a caller's pairs to a request.
pub(crate) fn read_metadata(metadata: &Bound<'_, PyAny>, request: &mut Request) -> PyResult<()> {
    for pair in metadata.try_iter()? {
        let pair = pair?;
        let (key, value) = pair_of(&pair)?;
        let key = text(&key)?;
        if key == ENCODING_KEY {
            request.encoding = Encoding::from_name(&value_bytes(&key, &value)?).unwrap_or(request.encoding);
            continue;
        }
        append(&mut request.metadata, &key, &value_bytes(&key, &value)?).map_err(PyValueError::new_err)?;
    }
    Ok(())
}

fn pair_of<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(pair) = pair.cast::<PyTuple>()
        && pair.len() == 2
    {
        return Ok((pair.get_item(0)?, pair.get_item(1)?));
    }
    // Text iterates as well, but is no pair.
    if pair.is_instance_of::<PyString>() || pair.is_instance_of::<PyBytes>() {
        return Err(PyValueError::new_err(format!(
            "metadata must be pairs of a key and a value, one entry is {pair:?}"
        )));
    }
    let items: Vec<Bound<'py, PyAny>> = pair.try_iter()?.take(3).collect::<PyResult<_>>()?;
    <[_; 2]>::try_from(items).map(|[key, value]| (key, value)).map_err(|items| {
        PyValueError::new_err(format!(
            "metadata must be pairs of a key and a value, one entry has {} items",
            items.len()
        ))
    })
}

fn text(key: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(key) = key.cast::<PyString>() {
        return Ok(key.to_cow()?.into_owned());
    }
    match key.cast::<PyBytes>() {
        Ok(key) => Ok(String::from_utf8_lossy(key.as_bytes()).into_owned()),
        Err(_) => Err(PyTypeError::new_err(format!("a metadata key is {}, expected str", key.get_type().name()?))),
    }
}

fn value_bytes(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let binary = key.ends_with(BINARY_SUFFIX);
    match value.cast::<PyString>() {
        Ok(text) if !binary => Ok(text.to_cow()?.as_bytes().to_vec()),
        // grpcio sends an empty value.
        Err(_) if !binary && value.is_none() => Ok(Vec::new()),
        _ => {
            let expected = if binary { "bytes, because the key ends in -bin" } else { "str or ASCII bytes" };
            let kind = value.get_type().name()?;
            Err(PyTypeError::new_err(format!("the metadata value of {key:?} is {kind}, expected {expected}")))
        }
    }
}

/// Received metadata, as a list of pairs.
pub(crate) fn pairs<'py>(py: Python<'py>, metadata: &Metadata) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (key, value) in metadata {
        let value = match value {
            Value::Text(text) => PyString::new(py, text).into_any(),
            Value::Binary(bytes) => PyBytes::new(py, bytes).into_any(),
        };
        list.append(PyTuple::new(py, [PyString::new(py, key).into_any(), value])?)?;
    }
    Ok(list)
}
