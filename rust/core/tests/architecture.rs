//! The architecture as the imports have it: no cycle among the modules of the core or of the bindings, and no I/O in the
//! modules of the core that are without.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules that take values and return values. They may import each other alone.
const SANS_IO: [&str; 31] = [
    "address",
    "broker::conn_info",
    "broker::state",
    "certificate::armour",
    "certificate::encoding",
    "certificate::facts",
    "environment",
    "error",
    "exit_status",
    "future",
    "grpc::call::state",
    "grpc::compression",
    "grpc::deframer",
    "grpc::frame_decoder",
    "grpc::framing",
    "grpc::metadata",
    "grpc::pool",
    "grpc::status",
    "handshake",
    "line_finder",
    "log_line",
    "output_lines",
    "reattach",
    "refusals",
    "runner",
    "settings",
    "transport::nonblocking::burst",
    "transport::nonblocking::encryption",
    "transport::nonblocking::unread",
    "transport::nonblocking::unsent",
    "wake",
];

/// What they may not name: sockets, files, processes, threads and clocks. The channels of `tokio::sync` need no runtime, and
/// an `Instant` that is passed in needs no clock.
const IO: [&str; 13] = [
    "tokio::",
    "rustix::",
    "std::fs",
    "std::process",
    "std::thread",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "::now",
    "now_utc",
];

/// The source of each module by its path; the root's path is empty.
type Modules = BTreeMap<Vec<String>, String>;

fn read_modules(directory: &Path, path: &[String], modules: &mut Modules) {
    for entry in fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let inner = [path, std::slice::from_ref(&name)].concat();
        if file.is_dir() {
            read_modules(&file, &inner, modules);
        } else if !name.ends_with("_tests") {
            let text = fs::read_to_string(&file).unwrap();
            let tested = text.split("\nmod tests").next().unwrap_or_default();
            let code: Vec<_> = tested.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
            let path = if matches!(name.as_str(), "lib" | "mod") { path.to_vec() } else { inner };
            modules.insert(path, code.join("\n"));
        }
    }
}

fn modules(directory: &str) -> Modules {
    let mut modules = Modules::new();
    read_modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &[], &mut modules);
    modules
}

/// Reads one path, or all those of a group in braces, and returns the text behind.
fn read_paths<'a>(text: &'a str, begin: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut group) = text.strip_prefix('{') {
        loop {
            group = read_paths(group, begin, found).trim_start();
            match group.strip_prefix(',') {
                Some(next) => group = next,
                None => return group.strip_prefix('}').unwrap_or(group),
            }
        }
    }
    let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
    let (word, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
    let path = [begin, &[word]].concat();
    if let Some(rest) = rest.strip_prefix("::") {
        return read_paths(rest, &path, found);
    }
    found.push(path);
    // Another name for it.
    rest.strip_prefix(" as ").map_or(rest, |alias| &alias[alias.find(is_end).unwrap_or(alias.len())..])
}

/// Paths that begin with a word which is not part of a longer one.
fn paths<'a>(source: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices(first) {
        if !source[..at].ends_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '$')) {
            read_paths(&source[at..], &[], &mut found);
        }
    }
    found
}

/// The module in which a path of another module ends, re-exports followed.
fn resolve(modules: &Modules, from: &[String], path: &[&str]) -> Vec<String> {
    let mut module = from.to_vec();
    for word in path {
        let inner = [&module[..], &[(*word).to_owned()]].concat();
        match *word {
            "crate" => module.clear(),
            "self" => (),
            "super" => drop(module.pop()),
            _ if modules.contains_key(&inner) => module = inner,
            name => return re_exported(modules, &module, name).unwrap_or(module),
        }
    }
    module
}

fn re_exported(modules: &Modules, module: &[String], name: &str) -> Option<Vec<String>> {
    let mut paths = Vec::new();
    for (at, word) in modules[module].match_indices("use ") {
        read_paths(&modules[module][at + word.len()..], &[], &mut paths);
    }
    let path = paths.into_iter().find(|path| path.last() == Some(&name) && path.len() > 1)?;
    let is_own = |first: &str| modules.contains_key(&[module, &[first.to_owned()]].concat());
    (path[0] == "self" || is_own(path[0])).then(|| resolve(modules, module, &path))
}

/// The modules that a module imports.
fn imports(modules: &Modules, module: &[String]) -> BTreeSet<Vec<String>> {
    let all = ["crate::", "super::", "self::"].map(|first| paths(&modules[module], first)).concat();
    all.iter().map(|path| resolve(modules, module, path)).filter(|import| import != module).collect()
}

/// Who imports whom among the modules of each directory. A directory is its `mod.rs`: that and its modules are one.
fn graphs(modules: &Modules) -> BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> {
    let mut graphs: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for module in modules.keys() {
        for import in imports(modules, module) {
            let shared = module.iter().zip(&import).take_while(|(one, other)| one == other).count();
            if let (Some(importer), Some(imported)) = (module.get(shared), import.get(shared)) {
                let graph = graphs.entry(module[..shared].to_vec()).or_default();
                graph.entry(importer.clone()).or_default().insert(imported.clone());
            }
        }
    }
    graphs
}

/// The modules of a cycle, the first one at both ends.
fn cycle(mut graph: BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    loop {
        let importers: BTreeSet<_> = graph.keys().cloned().collect();
        for imported in graph.values_mut() {
            imported.retain(|name| importers.contains(name));
        }
        graph.retain(|_, imported| !imported.is_empty());
        if graph.len() == importers.len() {
            break;
        }
    }
    let mut way = vec![graph.keys().next()?.clone()];
    loop {
        let next = graph[way.last()?].first()?.clone();
        if let Some(begin) = way.iter().position(|name| *name == next) {
            return Some([&way[begin..], &[next]].concat());
        }
        way.push(next);
    }
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for (crate_source, importer, imported) in [("src", "host", "process"), ("../bindings/src", "broker", "mailbox")] {
        let graphs = graphs(&modules(crate_source));
        assert!(graphs[&vec![]][importer].contains(imported), "imports of {crate_source} are no longer found");
        let found = graphs.into_iter().filter_map(|(directory, graph)| Some((directory.join("::"), cycle(graph)?)));
        let cycles: Vec<_> = found.collect();
        assert!(cycles.is_empty(), "{crate_source}: {cycles:?}");
    }
}

#[test]
fn formats_do_no_io() {
    let (modules, mut faults) = (modules("src"), Vec::new());
    for name in SANS_IO {
        let module: Vec<_> = name.split("::").map(str::to_owned).collect();
        let source = modules.get(&module).unwrap().replace("tokio::sync::", "");
        let io = IO.into_iter().filter(|io| source.contains(io)).map(|io| format!("{name} names {io}"));
        faults.extend(io);
        let imports = imports(&modules, &module).into_iter().map(|import| import.join("::"));
        let impure = imports.filter(|import| !SANS_IO.contains(&import.as_str()));
        faults.extend(impure.map(|import| format!("{name} imports {import}, which is not without I/O")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn cycle_is_found_and_named() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (importer, imported) in edges {
            graph.entry((*importer).to_owned()).or_default().insert((*imported).to_owned());
        }
        graph
    };
    assert_eq!(cycle(graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = cycle(graph(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("c", "e")]));
    assert_eq!(found.unwrap(), ["b", "c", "d", "b"]);
}
