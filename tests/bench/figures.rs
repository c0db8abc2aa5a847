/*!
Medians and other quantiles.
*/

/// Figures in rising order.
#[derive(Debug)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The figure that a share of `share` does not exceed: the nearest rank, never something in between.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}
