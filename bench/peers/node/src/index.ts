/** Peer P2: the coupon webhook with Powertools idempotency and the AWS SDK v3. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  IdempotencyAlreadyInProgressError,
  IdempotencyConfig,
  makeIdempotent,
} from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';

type Payload = {
  event: string;
  timestamp: string;
  company_id: string;
  customer: { member_id: string };
  coupon: { coupon_code: string; reward_id: string; points_spent: number };
};

const secret = process.env.WEBHOOK_SECRET as string;
const queues = ['delivery', 'inventory', 'fraud', 'analytics', 'surveys']
  .slice(0, Number(process.env.QUEUE_COUNT))
  .map((name) => [name, process.env[`QUEUE_URL_${name.toUpperCase()}`] as string] as const);

const sqs = new SQSClient({});
const persistenceStore = new DynamoDBPersistenceLayer({ tableName: process.env.TABLE_NAME as string });
const config = new IdempotencyConfig({
  eventKeyJmesPath: '[event, company_id, coupon.coupon_code, timestamp]',
  expiresAfterSeconds: 86_400,
});

const reply = (statusCode: number, body: unknown): APIGatewayProxyStructuredResultV2 => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

const signatureOk = (raw: Buffer, header?: string): boolean => {
  if (!header?.startsWith('sha256=')) return false;
  const got = Buffer.from(header.slice(7), 'hex');
  const expected = createHmac('sha256', secret).update(raw).digest();
  return got.length === expected.length && timingSafeEqual(got, expected);
};

const valid = (p: Payload): boolean =>
  (p?.event === 'coupon.redeemed' || p?.event === 'coupon.used') &&
  !Number.isNaN(Date.parse(p.timestamp)) &&
  Boolean(p.company_id) &&
  Boolean(p.customer?.member_id) &&
  Boolean(p.coupon?.coupon_code) &&
  Boolean(p.coupon.reward_id) &&
  p.coupon.points_spent >= 0;

const process_ = makeIdempotent(
  async (payload: Payload) => {
    // The common way to send to independent queues in Node is at once.
    await Promise.all(
      queues.map(([name, QueueUrl]) =>
        sqs.send(
          new SendMessageCommand({
            QueueUrl,
            MessageBody: JSON.stringify({ target: name, event: payload.event, payload }),
          }),
        ),
      ),
    );
    return { status: 'accepted' };
  },
  { persistenceStore, config },
);

export const handler = async (
  event: APIGatewayProxyEventV2,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> => {
  config.registerLambdaContext(context);
  const raw = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
  if (!signatureOk(raw, event.headers['x-zupy-signature'])) {
    return reply(401, { error: 'invalid signature' });
  }
  let payload: Payload;
  try {
    payload = JSON.parse(raw.toString('utf8'));
  } catch {
    return reply(400, { error: 'invalid body' });
  }
  if (!valid(payload)) return reply(400, { error: 'invalid body' });
  try {
    return reply(200, await process_(payload));
  } catch (error) {
    if (error instanceof IdempotencyAlreadyInProgressError) return reply(409, { error: 'in progress' });
    throw error;
  }
};
