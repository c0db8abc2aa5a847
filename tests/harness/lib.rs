/*!
What the tests share: real proxies as child processes, and a host that runs the filter's module by itself.
*/
pub mod module_host;
