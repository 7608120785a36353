//! AWS list prices in US dollars, us-east-1, without the free tier (November 2026).

/// For a million requests.
pub const LAMBDA_REQUEST: f64 = 0.20;
/// Arm64, first tier.
pub const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
/// For a million requests, first tier.
pub const HTTP_API: f64 = 1.00;
/// For a million on-demand write units, each for an item of up to 1 KB.
pub const DYNAMODB_WRITE: f64 = 0.625;
/// For a million on-demand read units.
pub const DYNAMODB_READ: f64 = 0.125;
/// For a gigabyte into CloudWatch Logs, standard class.
pub const LOG_GB: f64 = 0.50;
/// For a million requests to standard queues, first paid tier.
pub const SQS_REQUEST: f64 = 0.40;
