//! The report as a whole, on invented days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use webhooks::figures::{
    Cohort, Day, HourSums, RedemptionGroup, RedemptionSums, Reward, SignalGroup, SignalSums,
    Sketch, SurveySums, UseGroup, UseSums,
};

use crate::period::{Compare, Period};
use crate::report::{Asked, Report, Section};
use crate::tenant::{OfTenant, Tenant};

const TODAY: Date = date(2026, 11, 25);

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn reward(id: &str, name: &str) -> Reward {
    Reward {
        id: id.into(),
        name: name.into(),
    }
}

/// A day with so many redemptions of Pizza for 1,000 points, and so many uses.
fn pizza_day(redeemed: u64, used: u64) -> Day {
    let mut day = Day::default();
    let pizza = reward("rw_pizza", "Pizza");
    let group = RedemptionGroup {
        reward: pizza.clone(),
        discount_kind: "product_free".into(),
        currency: "BRL".into(),
    };
    let sums = RedemptionSums {
        count: redeemed,
        points: i64::try_from(redeemed).unwrap() * 1000,
        discount_value: decimal("35") * Decimal::from(redeemed),
        discount_count: redeemed,
        ..RedemptionSums::default()
    };
    day.redemptions_by_method.insert("app".into(), sums.clone());
    day.redemptions.insert(group, sums);
    let group = UseGroup {
        reward_name: "Pizza".into(),
        location: "Centro".into(),
        platform: "pos".into(),
        currency: "BRL".into(),
    };
    let sums = UseSums {
        count: used,
        discount_applied: decimal("35") * Decimal::from(used),
        order_value: decimal("67.5") * Decimal::from(used),
        order_count: used,
        final_value: decimal("32.5") * Decimal::from(used),
        items: used,
    };
    day.uses.insert(group, sums);
    let cohort = Cohort {
        redeemed,
        used,
        ..Cohort::default()
    };
    day.cohorts.insert(pizza, cohort);
    day.time_to_use.add(Sketch::bucket(60), used);
    let hour = HourSums {
        redemptions: redeemed,
        uses: used,
        points: i64::try_from(redeemed).unwrap() * 1000,
        discount_applied: BTreeMap::from([("BRL".into(), decimal("35") * Decimal::from(used))]),
    };
    day.hours.insert(12, hour);
    let signal = SignalGroup {
        reward_type: "product_free".into(),
        method: "app".into(),
    };
    let sums = SignalSums {
        count: redeemed,
        points: 1000,
    };
    day.satisfaction.insert(signal, sums);
    day
}

fn of_tenant(
    name: &str,
    days: impl IntoIterator<Item = (Date, Day)>,
    compared: impl IntoIterator<Item = (Date, Day)>,
) -> OfTenant {
    OfTenant {
        tenant: Tenant {
            provider: "zupy".into(),
            tenant: name.into(),
            time_zone: "America/Sao_Paulo".into(),
        },
        now: TODAY.at(12, 30, 0, 0),
        days: days.into_iter().collect(),
        compared: compared.into_iter().collect(),
    }
}

fn report(tenants: &[OfTenant], compare: Compare) -> Report {
    report_of(tenants, Period::new(date(2026, 10, 27), TODAY), compare)
}

fn report_of(tenants: &[OfTenant], period: Period, compare: Compare) -> Report {
    let asked = Asked {
        period,
        compare,
        tenant: Some("comp_x".into()),
        provider: None,
    };
    let now: Timestamp = "2026-11-25T15:30:00Z".parse().unwrap();
    Report::new(&asked, tenants, "America/Sao_Paulo", TODAY.into(), now)
}

fn json_of(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

#[test]
fn a_report_has_the_shape_that_others_program_against() {
    let mut day = pizza_day(12, 7);
    let group = day.redemptions.keys().next().unwrap().clone();
    day.redemptions.get_mut(&group).unwrap().reversed = 1;
    day.cohorts.values_mut().for_each(|it| it.cancelled = 1);
    let other = pizza_day(10, 0);
    let tenants = [of_tenant(
        "comp_x",
        [(date(2026, 11, 20), day)],
        [(date(2026, 10, 21), other)],
    )];
    let report = json_of(&report(&tenants, Compare::Previous));
    let expected = json!({
        "from": "2026-10-27", "to": "2026-11-25", "time_zone": "America/Sao_Paulo",
        "tenant": "comp_x", "provider": null,
        "generated_at": "2026-11-25T15:30:00Z",
        "tenants": [{"provider": "zupy", "tenant": "comp_x", "time_zone": "America/Sao_Paulo"}],
        "compared": {
            "with": "previous", "from": "2026-09-27", "to": "2026-10-26", "complete": true,
        },
        "totals": {
            "redemptions": {"value": 12, "previous": 10, "change_percent": 20.0},
            "uses": {"value": 7, "previous": 0, "change_percent": "new"},
            "points_spent": {"value": 12000, "previous": 10000, "change_percent": 20.0},
            "discount_applied": {
                "value": "245.00", "previous": "0.00", "change_percent": "new", "currency": "BRL",
                "by_currency": [{
                    "currency": "BRL", "value": "245.00", "previous": "0.00",
                    "change_percent": "new",
                }],
            },
        },
        "redemptions": [{
            "reward_id": "rw_pizza", "reward_name": "Pizza", "discount_type": "product_free",
            "count": 12,
            "reversed": 1, "net": 11, "points_spent": 12000, "net_points_spent": 12000,
            "average_discount_value": "35.00", "currency": "BRL",
        }],
        "usage": [{
            "reward_name": "Pizza", "location": "Centro", "platform": "pos", "count": 7,
            "discount_applied": "245.00", "average_order_value": "67.50", "order_value": "472.50",
            "final_value": "227.50", "items": 7, "currency": "BRL",
        }],
        "conversion": [{
            "reward_id": "rw_pizza", "reward_name": "Pizza",
            "redeemed": 12, "used": 7, "cancelled": 1, "expired": 0,
            "conversion_rate": 58.33,
        }],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&report[name], value, "{name}");
    }
    let time = &report["patterns"]["time_to_usage"];
    assert_eq!(time["count"], 7);
    assert_eq!(
        time["histogram"],
        json!([{"from_s": 60, "to_s": 66, "count": 7}])
    );
    assert_eq!(report["patterns"]["hours"].as_array().unwrap().len(), 24);
    assert_eq!(
        report["patterns"]["hours"][12],
        json!({"hour": 12, "redemptions": 12, "uses": 7})
    );
    assert_eq!(
        report["patterns"]["weekdays"][4],
        json!({"weekday": "friday", "redemptions": 12, "uses": 7})
    );
    assert_eq!(
        report["satisfaction"]["implicit"],
        json!([{
            "reward_type": "product_free", "redemption_method": "app", "count": 12,
            "points_spent": 1000,
        }])
    );
}

#[test]
fn of_nothing_every_field_is_defined() {
    for tenants in [vec![], vec![of_tenant("comp_x", [], [])]] {
        let report = json_of(&report(&tenants, Compare::Previous));
        let zero = json!({"value": 0, "previous": 0, "change_percent": 0.0});
        assert_eq!(report["totals"]["redemptions"], zero);
        assert_eq!(report["totals"]["discount_applied"]["value"], "0.00");
        assert_eq!(
            report["totals"]["discount_applied"]["currency"],
            Value::Null
        );
        assert_eq!(
            report["patterns"]["time_to_usage"]["median_hours"],
            Value::Null
        );
        assert_eq!(report["time_zone"], "America/Sao_Paulo");
        for section in ["redemptions", "usage", "conversion", "methods", "codes"] {
            assert_eq!(report[section], json!([]), "{section}");
        }
    }
}

#[test]
fn nothing_is_compared_where_nobody_asks_for_it() {
    let tenants = [of_tenant("comp_x", [(TODAY, pizza_day(1, 1))], [])];
    let report = json_of(&report(&tenants, Compare::None));
    assert_eq!(report["compared"], Value::Null);
    let expected = json!({"value": 1, "previous": null, "change_percent": null});
    assert_eq!(report["totals"]["uses"], expected);
}

#[test]
fn today_is_compared_up_to_the_same_hour() {
    let today = Period::new(TODAY, TODAY);
    let with_hours = |hours: &[u8]| {
        let mut day = pizza_day(u64::try_from(hours.len()).unwrap(), 0);
        let each = pizza_day(1, 0).hours[&12].clone();
        day.hours = hours.iter().map(|hour| (*hour, each.clone())).collect();
        day
    };
    let previous = |period: Period, compared: Vec<(Date, Day)>| {
        let tenants = [of_tenant("comp_x", [], compared)];
        let report = report_of(&tenants, period, Compare::Previous);
        report.totals.redemptions.previous
    };
    // Now it is half past twelve.
    let yesterday = date(2026, 11, 24);
    let day = with_hours(&[0, 11, 12, 13, 23]);
    assert_eq!(previous(today, vec![(yesterday, day.clone())]), Some(3));
    // The comparison covers the whole of a past period.
    let over = Period::new(yesterday, yesterday);
    assert_eq!(
        previous(over, vec![(date(2026, 11, 23), day.clone())]),
        Some(5)
    );
    // Days in the future have no counterpart.
    let week = Period::new(yesterday, date(2026, 11, 30));
    let compared = (17..=23)
        .map(|it| (date(2026, 11, it), day.clone()))
        .collect();
    assert_eq!(previous(week, compared), Some(5 + 3));
    let later = Period::new(date(2026, 11, 26), date(2026, 11, 26));
    assert_eq!(previous(later, vec![(TODAY, day)]), Some(0));
}

#[test]
fn tenants_are_summed_and_a_reward_has_its_last_name() {
    let mut renamed = pizza_day(1, 0);
    let (group, sums) = renamed.redemptions.pop_first().unwrap();
    let reward = reward("rw_pizza", "Pizza Napoli");
    renamed
        .redemptions
        .insert(RedemptionGroup { reward, ..group }, sums);
    let days = [
        (date(2026, 11, 1), pizza_day(2, 1)),
        (date(2026, 11, 2), renamed),
    ];
    let other = [(date(2026, 11, 1), pizza_day(4, 0))];
    let tenants = [
        of_tenant("comp_x", days, []),
        of_tenant("comp_y", other, []),
    ];
    let report = report(&tenants, Compare::None);
    let rows: Vec<_> = report
        .redemptions
        .iter()
        .map(|row| (row.reward_name.as_str(), row.count))
        .collect();
    assert_eq!(rows, [("Pizza Napoli", 7)]);
    assert_eq!(report.conversion[0].redeemed, 7);
    assert_eq!(report.methods[0].count, 7);
    assert_eq!(report.head.tenants.len(), 2);
}

#[test]
fn amounts_of_several_currencies_are_never_added_up() {
    let mut day = pizza_day(0, 3);
    let dollars = UseGroup {
        currency: "USD".into(),
        ..day.uses.keys().next().unwrap().clone()
    };
    let sums = UseSums {
        count: 1,
        discount_applied: decimal("0.1"),
        ..UseSums::default()
    };
    day.uses.insert(dollars, sums);
    let tenants = [of_tenant("comp_x", [(TODAY, day)], [])];
    let report = json_of(&report(&tenants, Compare::None));
    let discount = &report["totals"]["discount_applied"];
    assert_eq!(
        (&discount["value"], &discount["currency"]),
        (&json!("105.00"), &json!("BRL"))
    );
    assert_eq!(discount["by_currency"][1]["value"], "0.10");
    assert_eq!(report["totals"]["uses"]["value"], 4);
    assert_eq!(report["usage"].as_array().unwrap().len(), 2);
    // No order states its value.
    assert_eq!(report["usage"][1]["average_order_value"], Value::Null);
}

#[test]
fn every_section_has_the_columns_of_its_rows() {
    let mut day = pizza_day(2, 1);
    day.findings.insert("expired_usage".into(), 1);
    day.deliveries.insert(Default::default(), 1);
    let sums = SurveySums {
        sent: 1,
        ratings: [0, 0, 0, 0, 1],
        recommend: [1; 11],
        ..SurveySums::default()
    };
    day.surveys.insert(Default::default(), sums);
    day.surveys_unsent.insert("no_address".into(), 1);
    day.codes.insert(Default::default(), Default::default());
    day.uses_by_staff
        .insert(Default::default(), UseSums::default());
    day.redemptions_by_tier
        .insert("gold".into(), RedemptionSums::default());
    let tenants = [of_tenant("comp_x", [(TODAY, day)], [])];
    let report = report(&tenants, Compare::Previous);
    for (name, section) in Section::CHOICES {
        let table = report.section(section);
        assert!(!table.rows.is_empty(), "{name}");
        for row in &table.rows {
            for field in row.keys() {
                assert!(table.columns.contains(&field.as_str()), "{name}: {field}");
            }
        }
        let filled = |column: &&str| table.rows.iter().any(|row| row.contains_key(*column));
        let columns: Vec<_> = table.columns.iter().filter(|it| !filled(it)).collect();
        assert!(columns.is_empty(), "{name}: {columns:?}");
        assert_eq!(Section::named(name), Some(section));
    }
    let csv = report.section(Section::Redemptions).csv();
    assert_eq!(
        csv,
        "reward_id,reward_name,discount_type,count,reversed,net,points_spent,net_points_spent,\
         average_discount_value,currency\nrw_pizza,Pizza,product_free,2,0,2,2000,2000,35.00,BRL\n"
    );
}

#[test]
fn days_without_anything_have_rows_too() {
    let period = Period::new(date(2026, 11, 23), TODAY);
    let tenants = [of_tenant(
        "comp_x",
        [(date(2026, 11, 24), pizza_day(2, 1))],
        [],
    )];
    let rows = crate::days::days(&tenants, period, Some("BRL"));
    let rows = serde_json::to_value(rows).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[0]["redemptions"], 0);
    assert_eq!(rows[0]["average_order_value"], Value::Null);
    assert_eq!(rows[1]["weekday"], "tuesday");
    assert_eq!(rows[1]["points_spent"], 2000);
    assert_eq!(rows[1]["discount_applied"], "35.00");
}
