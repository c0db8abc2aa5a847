/*!
The standard normal distribution.
*/

/// The chance that a standard normal variable is below `z`, to within 7.5e-8 (Abramowitz and Stegun, 26.2.17).
pub(super) fn below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let above = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if z >= 0.0 { 1.0 - above } else { above }
}

/// The z below which a standard normal variable is with a chance of `share`, between 0 and 1, to within 0.00045
/// (Abramowitz and Stegun, 26.2.23).
pub(super) fn quantile(share: f64) -> f64 {
    if share < 0.5 {
        return -quantile(1.0 - share);
    }
    let t = (-2.0 * (1.0 - share).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_tables_say() {
        for (share, z) in [(0.5, 0.0), (0.95, 1.6449), (0.9767, 1.9907), (0.9995, 3.2905), (0.1, -1.2816)] {
            assert!((quantile(share) - z).abs() < 0.0005, "{share}");
            assert!((below(z) - share).abs() < 0.0001, "{z}");
        }
    }
}
