/*!
What Argo CD makes of an object, by our scripts in the Lua that it has in it.
*/
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::tools::Tool;

/// The folder of the scripts.
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/argocd");

/// The health of a Release, and what is said of it.
///
/// # Errors
/// When the script fails.
pub fn health(release: &Value) -> Result<(String, String)> {
    let said = lua_says("health.lua", release, "write(it.status, ': ', it.message)")?;
    let (status, message) = said.split_once(": ").context("a health has a message")?;
    Ok((status.to_owned(), message.to_owned()))
}

/// Runs a script with `obj`, in an environment like Argo CD's: without `string`, `io` and the rest of `os`. Then `print` is
/// run, which has what the script returned as `it`.
///
/// # Errors
/// When one of the two fails.
pub fn lua_says(script: &str, obj: &Value, print: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let driver = folder.path().join("driver.lua");
    let text = format!(
        "local write = io.write
         local chunk = assert(loadfile({}))
         getmetatable('').__index = nil
         setfenv(chunk, {{
           ipairs = ipairs, pairs = pairs, next = next, type = type, tostring = tostring, tonumber = tonumber,
           table = table, obj = {},
         }})
         local it = chunk()
         {print}",
        lua(&json!(Path::new(SCRIPTS).join(script))),
        lua(obj),
    );
    std::fs::write(&driver, text)?;
    let output = Command::new(Tool::Lua.path()?).arg(&driver).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A value as Lua writes it. There is no null in a table.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let bytes: Vec<_> = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
            format!("\"{}\"", bytes.concat())
        }
        Value::Array(items) => format!("{{{}}}", items.iter().map(lua).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let field = |(name, value)| format!("[{}]={}", lua(&json!(name)), lua(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
    }
}
