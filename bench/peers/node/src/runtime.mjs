// Asks Lambda's Runtime API for events, as the managed runtime does. AWS's own client for custom runtimes compiles libcurl when
// it is installed, for minutes; this loop does the same with what Node has.
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true });

const call = (method, path, body) =>
  new Promise((done, fail) => {
    const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const sent = request({ agent, host, port, method, headers, path: `/2018-06-01/runtime/${path}` }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => done({ headers: answer.headers, text: Buffer.concat(chunks).toString() }));
      answer.on('error', fail);
    });
    sent.on('error', fail);
    sent.end(body);
  });

const [file, name] = process.env._HANDLER.split(/\.(?=[^.]*$)/);
const handler = (await import(resolve(`${file}.mjs`)))[name];
for (;;) {
  const { headers, text } = await call('GET', 'invocation/next');
  const awsRequestId = headers['lambda-runtime-aws-request-id'];
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = { awsRequestId, getRemainingTimeInMillis: () => deadline - Date.now() };
  try {
    const answer = await handler(JSON.parse(text), context);
    await call('POST', `invocation/${awsRequestId}/response`, JSON.stringify(answer));
  } catch (error) {
    const reported = { errorType: error.name, errorMessage: error.message };
    await call('POST', `invocation/${awsRequestId}/error`, JSON.stringify(reported));
  }
}
