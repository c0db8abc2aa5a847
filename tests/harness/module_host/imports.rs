/*!
The functions the module imports. Those it never calls are there as traps.
*/
use rand::Rng;
use wasmtime::{Caller, Engine, Error, Linker, Memory, Module, Result, bail, format_err};

use super::SimulatedProxy;
use super::stream::{Headers, Phase, Stream};

/// The ABI's numbers for outcomes.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// A place in the module's memory: address and length.
type Span = (u32, u32);

pub(super) fn linker(engine: &Engine, module: &Module) -> Result<Linker<SimulatedProxy>> {
    let mut linker = Linker::new(engine);
    headers(&mut linker)?;
    metrics(&mut linker)?;
    surroundings(&mut linker)?;
    shared(&mut linker)?;
    wasi(&mut linker)?;
    linker.define_unknown_imports_as_traps(module)?;
    Ok(linker)
}

fn headers(linker: &mut Linker<SimulatedProxy>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut caller: Caller<'_, SimulatedProxy>, map: u32, name: u32, length: u32, at: u32, size: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let name = bytes(memory, (name, length))?;
            let found = match proxy.stream()?.readable(map.try_into()?, proxy.phase)? {
                // Envoy's answer for a map that the log finds missing.
                None => Vec::new(),
                // Only the first value, whatever there is more.
                Some(headers) => match headers.iter().find(|(given, _)| given == name) {
                    Some((_, value)) => value.clone(),
                    None => return Ok(NOT_FOUND),
                },
            };
            give(&mut caller, &found, (at, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut caller: Caller<'_, SimulatedProxy>,
         map: u32,
         name: u32,
         name_length: u32,
         value: u32,
         value_length: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let (name, value) = line(memory, (name, name_length), (value, value_length))?;
            let phase = proxy.phase;
            let headers = proxy.stream_mut()?.writable(map.try_into()?, phase)?;
            // In the place of the first copy, and instead of all of them.
            let first = headers.iter().position(|(given, _)| *given == name).unwrap_or(headers.len());
            headers.retain(|(given, _)| *given != name);
            headers.insert(first, (name, value));
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut caller: Caller<'_, SimulatedProxy>, map: u32, name: u32, length: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let name = bytes(memory, (name, length))?;
            let phase = proxy.phase;
            proxy.stream_mut()?.writable(map.try_into()?, phase)?.retain(|(given, _)| given != name);
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |mut caller: Caller<'_, SimulatedProxy>,
         map: u32,
         name: u32,
         name_length: u32,
         value: u32,
         value_length: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let added = line(memory, (name, name_length), (value, value_length))?;
            let phase = proxy.phase;
            proxy.stream_mut()?.writable(map.try_into()?, phase)?.push(added);
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut caller: Caller<'_, SimulatedProxy>,
         status: u32,
         _details: u32,
         _details_length: u32,
         _body: u32,
         body_length: u32,
         headers: u32,
         length: u32,
         _grpc: i32| {
            let (memory, proxy) = asked(&mut caller)?;
            let mut lines = pairs(bytes(memory, (headers, length))?)?;
            lines.insert(0, (b":status".to_vec(), status.to_string().into_bytes()));
            if proxy.phase != Phase::Request || body_length != 0 {
                bail!("an answer with {body_length} bytes in phase {:?}", proxy.phase);
            }
            proxy.stream_mut()?.answer = Some(lines);
            Ok(OK)
        },
    )?;
    Ok(())
}

/// Lines as the ABI serialises them: how many, the lengths of each, and then the texts, with a zero byte after each.
fn pairs(bytes: &[u8]) -> Result<Headers> {
    let cut_short = || format_err!("a list of headers that is cut short");
    let number = |at: usize| {
        let bytes = bytes.get(4 * at..4 * at + 4).ok_or_else(cut_short)?;
        Ok::<_, Error>(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let count = number(0)?;
    let mut at = 4 * (1 + 2 * count);
    let mut text = |length: usize| {
        let text = bytes.get(at..at + length).ok_or_else(cut_short)?;
        at += length + 1;
        Ok::<_, Error>(text.to_vec())
    };
    (0..count).map(|i| Ok((text(number(1 + 2 * i)?)?, text(number(2 + 2 * i)?)?))).collect()
}

fn metrics(linker: &mut Linker<SimulatedProxy>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut caller: Caller<'_, SimulatedProxy>, kind: u32, name: u32, length: u32, at: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let name = String::from_utf8(bytes(memory, (name, length))?.to_vec())?;
            let id = proxy.metrics.define(kind, name)?;
            put(memory, at, &id.to_le_bytes())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |mut caller: Caller<'_, SimulatedProxy>, id: u32, offset: i64| {
            let (_, proxy) = asked(&mut caller)?;
            proxy.metrics.increment(id, offset).map(|()| OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |mut caller: Caller<'_, SimulatedProxy>, id: u32, value: u64| {
            let (_, proxy) = asked(&mut caller)?;
            proxy.metrics.record(id, value).map(|()| OK)
        },
    )?;
    Ok(())
}

fn surroundings(linker: &mut Linker<SimulatedProxy>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut caller: Caller<'_, SimulatedProxy>, kind: u32, start: u32, most: u32, at: u32, size: u32| {
            const PLUGIN_CONFIGURATION: u32 = 7;
            let proxy = caller.data_mut();
            if kind != PLUGIN_CONFIGURATION || proxy.phase != Phase::Configure {
                bail!("buffer {kind} cannot be read in phase {:?}", proxy.phase);
            }
            let all = proxy.configuration.iter().skip(start as usize).take(most as usize);
            let taken: Vec<_> = all.copied().collect();
            give(&mut caller, &taken, (at, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut caller: Caller<'_, SimulatedProxy>, path: u32, length: u32, at: u32, size: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let path: Vec<_> = bytes(memory, (path, length))?.split(|&byte| byte == 0).collect();
            let found = match path[..] {
                [b"xds", b"node", b"metadata", b"NAMESPACE"] => {
                    proxy.namespace.clone().map(String::into_bytes)
                }
                [b"plugin_root_id"] if proxy.phase == Phase::Configure => {
                    Some(proxy.plugin.clone().into_bytes())
                }
                _ if proxy.phase == Phase::Configure => None,
                _ => proxy.stream()?.property(&path, proxy.phase),
            };
            found.map_or(Ok(NOT_FOUND), |value| give(&mut caller, &value, (at, size)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut caller: Caller<'_, SimulatedProxy>, path: u32, length: u32, value: u32, size: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let (path, value) = (bytes(memory, (path, length))?, bytes(memory, (value, size))?);
            // It goes into a log as it is: a line of it must stay one.
            let is_plain = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
            if proxy.phase != Phase::Request || !value.iter().all(is_plain) {
                let told = [path, value].map(String::from_utf8_lossy);
                bail!("{told:?} cannot be left in phase {:?}", proxy.phase);
            }
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut caller: Caller<'_, SimulatedProxy>, at: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            put(memory, at, &u64::try_from(proxy.now.as_nanos())?.to_le_bytes())
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut caller: Caller<'_, SimulatedProxy>, _level: u32, text: u32, length: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            proxy.log.push(String::from_utf8(bytes(memory, (text, length))?.to_vec())?);
            Ok(OK)
        },
    )?;
    Ok(())
}

fn shared(linker: &mut Linker<SimulatedProxy>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut caller: Caller<'_, SimulatedProxy>,
         key: u32,
         length: u32,
         at: u32,
         size: u32,
         version_at: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let Some((value, version)) = proxy.shared.get(bytes(memory, (key, length))?).cloned() else {
                return Ok(NOT_FOUND);
            };
            put(memory, version_at, &version.to_le_bytes())?;
            give(&mut caller, &value, (at, size))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut caller: Caller<'_, SimulatedProxy>,
         key: u32,
         length: u32,
         value: u32,
         size: u32,
         version: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let (key, value) = (bytes(memory, (key, length))?, bytes(memory, (value, size))?);
            let before = proxy.shared.get(key).map_or(0, |(_, version)| *version);
            // 0 stands for any version.
            if version != 0 && before != 0 && version != before {
                return Ok(CAS_MISMATCH);
            }
            proxy.shared.insert(key.to_vec(), (value.to_vec(), before + 1));
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut caller: Caller<'_, SimulatedProxy>, period: u32| {
            let proxy = caller.data_mut();
            if proxy.phase != Phase::Configure || period == 0 {
                bail!("a tick of {period} ms in phase {:?}", proxy.phase);
            }
            proxy.ticking.insert(proxy.active);
            Ok(OK)
        },
    )?;
    Ok(())
}

fn wasi(linker: &mut Linker<SimulatedProxy>) -> Result<()> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "random_get",
        |mut caller: Caller<'_, SimulatedProxy>, at: u32, length: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            proxy.random.fill_bytes(span_mut(memory, (at, length))?);
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, SimulatedProxy>, _file: u32, vectors: u32, count: u32, at: u32| {
            let (memory, proxy) = asked(&mut caller)?;
            let mut written = 0;
            for i in 0..count {
                let vector = |offset| Ok::<_, Error>(word(bytes(memory, (vectors + 8 * i + offset, 4))?));
                let text = bytes(memory, (vector(0)?, vector(4)?))?;
                proxy.stderr.extend_from_slice(text);
                written += u32::try_from(text.len())?;
            }
            put(memory, at, &written.to_le_bytes())
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut caller: Caller<'_, SimulatedProxy>, count: u32, size: u32| {
            let (memory, _) = asked(&mut caller)?;
            put(memory, count, &[0; 4])?;
            put(memory, size, &[0; 4])
        },
    )?;
    linker.func_wrap(WASI, "environ_get", |_: u32, _: u32| OK)?;
    Ok(())
}

impl SimulatedProxy {
    fn stream(&self) -> Result<&Stream> {
        self.streams.get(&self.active).ok_or_else(|| format_err!("{} is no request's context", self.active))
    }

    fn stream_mut(&mut self) -> Result<&mut Stream> {
        let active = self.active;
        self.streams.get_mut(&active).ok_or_else(|| format_err!("{active} is no request's context"))
    }
}

fn memory(caller: &Caller<'_, SimulatedProxy>) -> Result<Memory> {
    let guest = caller.data().guest.as_ref();
    guest.map(|(memory, _)| *memory).ok_or_else(|| format_err!("the module calls while it is being started"))
}

/// The module's memory, and what it asks.
fn guest<'c>(caller: &'c mut Caller<'_, SimulatedProxy>) -> Result<(&'c mut [u8], &'c mut SimulatedProxy)> {
    Ok(memory(caller)?.data_and_store_mut(caller))
}

/// The same, for a question of the module's, which is counted.
fn asked<'c>(caller: &'c mut Caller<'_, SimulatedProxy>) -> Result<(&'c mut [u8], &'c mut SimulatedProxy)> {
    let (memory, proxy) = guest(caller)?;
    proxy.crossings.host_calls += 1;
    Ok((memory, proxy))
}

/// Copies `value` to memory that the module allocates for it, and writes where to `at` and `size`. Of an empty
/// value nothing is copied, and its address is null.
fn give(caller: &mut Caller<'_, SimulatedProxy>, value: &[u8], (at, size): Span) -> Result<u32> {
    let length = u32::try_from(value.len())?;
    let mut address = 0;
    if length > 0 {
        let (_, allocate) = caller.data().guest.clone().ok_or_else(|| format_err!("not started yet"))?;
        caller.data_mut().crossings.reentries += 1;
        address = allocate.call(&mut *caller, length)?;
    }
    let (memory, _) = guest(caller)?;
    put(memory, address, value)?;
    put(memory, at, &address.to_le_bytes())?;
    put(memory, size, &length.to_le_bytes())
}

fn line(memory: &[u8], name: Span, value: Span) -> Result<(Vec<u8>, Vec<u8>)> {
    let (name, value) = (bytes(memory, name)?, bytes(memory, value)?);
    // Envoy would send these on as they are, and the peer would read another message than was meant.
    if name.is_empty() || value.iter().any(|byte| b"\r\n\0".contains(byte)) {
        bail!("{:?} is no header line", (String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
    }
    Ok((name.to_vec(), value.to_vec()))
}

fn bytes(memory: &[u8], (at, length): Span) -> Result<&[u8]> {
    let (at, length) = (at as usize, length as usize);
    memory
        .get(at..at + length)
        .ok_or_else(|| format_err!("{length} bytes at {at} are outside the module's memory"))
}

fn span_mut(memory: &mut [u8], (at, length): Span) -> Result<&mut [u8]> {
    let (at, length) = (at as usize, length as usize);
    memory
        .get_mut(at..at + length)
        .ok_or_else(|| format_err!("{length} bytes at {at} are outside the module's memory"))
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn put(memory: &mut [u8], at: u32, value: &[u8]) -> Result<u32> {
    span_mut(memory, (at, u32::try_from(value.len())?))?.copy_from_slice(value);
    Ok(OK)
}
