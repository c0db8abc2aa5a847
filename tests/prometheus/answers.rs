//! What queries give, and what they must not give.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serin_agent::observe::prometheus::MOST_SERIES;
use serin_agent::observe::prometheus::custom::{self, Reading};
use serin_tests::exporter::Exporter;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{eventually, run};

use crate::{check, client, said};

#[test]
fn numbers_come_back_as_they_are_and_all_else_is_an_error_with_the_mend() -> Result<()> {
    run(async {
        let prometheus = Prometheus::start(Options::new()?).await?;
        let client = client(&prometheus.url())?;
        let cases: [(&str, &[&str]); 8] = [
            ("1.5", &["Scalar(1.5)"]),
            (r#"label_replace(vector(2), "a", "b", "", "")"#, &[r#"labels: {"a": "b"}, value: 2.0"#]),
            ("absent_everywhere", &["Vector([])"]),
            ("sum(", &[r#"cannot read the query "sum(""#, "parse error", "unclosed left parenthesis"]),
            ("up[5m]", &[r#"the query "up[5m]" gives a matrix"#, "leave out the range"]),
            (r#""text""#, &["gives a string", "write one that gives a number"]),
            (
                "vector(1) / on() (vector(1) or label_replace(vector(2), \"a\", \"b\", \"\", \"\"))",
                &["execution", "many-to-many"],
            ),
            ("1 / 0", &["Scalar(inf)"]),
        ];
        for (query, parts) in cases {
            check(&said(&client, query).await, parts);
        }
        Ok(())
    })
}

#[test]
fn nothing_no_number_and_no_answer_are_three_different_readings() -> Result<()> {
    run(async {
        let prometheus = Prometheus::start(Options::new()?).await?;
        let client = client(&prometheus.url())?;
        let two = r#"vector(1) or label_replace(vector(2), "a", "b", "", "")"#;
        let queries = ["vector(3)", "4", "0 / 0", "absent_everywhere", "sum(", two];
        let readings = custom::read(&client, &queries.map(str::to_owned), Timestamp::now()).await;
        let [
            Reading::Value(3.0),
            Reading::Value(4.0),
            Reading::NotANumber,
            Reading::Empty,
            Reading::Failed(_),
            Reading::Failed(several),
        ] = readings.as_slice()
        else {
            anyhow::bail!("{readings:?}");
        };
        check(&several.to_string(), &["gives 2 series, not one", "put sum()"]);
        Ok(())
    })
}

#[test]
fn so_many_series_are_taken_and_one_more_is_too_many() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        exporter.say((0..=MOST_SERIES).map(|i| (format!("many{{i=\"{i}\"}}"), 1)));
        let options = Options::new()?.scraping("many", "/metrics", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let client = client(&prometheus.url())?;
        eventually("the series to be scraped", async || {
            let count = said(&client, "count(many)").await;
            ensure!(count.contains(&(MOST_SERIES + 1).to_string()), "{count}");
            Ok(())
        })
        .await?;
        check(
            &said(&client, "many").await,
            &[&format!("gives more than {MOST_SERIES} series"), "put sum() around it"],
        );
        check(&said(&client, r#"many{i!="7"}"#).await, &["Vector(["]);
        Ok(())
    })
}
