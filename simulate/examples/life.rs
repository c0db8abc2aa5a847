//! scratch
use serin_simulate::{LifeReport, Named};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runs = args[0].parse().unwrap();
    let names: Vec<_> = if args.len() > 1 {
        args[1..].iter().map(|n| Named::find(n).unwrap()).collect()
    } else {
        Named::all()
    };
    let t = std::time::Instant::now();
    println!(
        "{}",
        LifeReport::play(&names, runs, 1, |n| eprintln!("{} {:.0}s", n.name, t.elapsed().as_secs_f64()))
            .unwrap()
    );
}
