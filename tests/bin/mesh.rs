/*!
A mesh to play with: `cargo run -p serin-tests --bin mesh`. It is the one that the tests run in, and it ends with this.
*/
use std::future::pending;
use std::time::Instant;

use anyhow::Result;
use serin_tests::mesh::{Mesh, inside};

fn main() -> Result<()> {
    let inside = inside::enter()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let mesh = Mesh::up(inside).await?;
        eprintln!(
            "The mesh is up, after {:.1} s. In another shell, as the same user:\n",
            began.elapsed().as_secs_f64()
        );
        println!("{}", mesh.way_in());
        eprintln!("\nkubectl and istioctl know there where it is. Ctrl-C ends it, and all that is in it.");
        pending().await
    })
}
