// A service through the AWS SDK for JavaScript v3: a call a line on stdin, {operation, members}, an answer a line on
// stdout.
"use strict";
const readline = require("node:readline");
const sdk = require(`@aws-sdk/client-${process.env.SERVICE}`);

const name = Object.keys(sdk).find((k) => /^[A-Z]\w+Client$/.test(k));
const client = new sdk[name]({
  endpoint: process.env.ENDPOINT,
  region: process.env.REGION,
  credentials: {
    accessKeyId: process.env.KEY_ID,
    secretAccessKey: process.env.SECRET,
    sessionToken: process.env.TOKEN || undefined,
  },
  maxAttempts: Number(process.env.MAX_ATTEMPTS || 1),
});

// What JSON has no type for: times in members, and bytes in answers.
const fromJson = (_, value) => (value && value.$time ? new Date(value.$time) : value);
const toJson = (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value);

async function call({ operation, members }) {
  try {
    const { $metadata, ...answer } = await client.send(new sdk[operation + "Command"](members));
    return { answer, requestId: $metadata.requestId, status: $metadata.httpStatusCode, attempts: $metadata.attempts };
  } catch (e) {
    const known = e instanceof sdk[name.replace(/Client$/, "ServiceException")];
    return {
      code: e.name,
      // Its own class, when the model has the error: what `instanceof` in a user's code finds.
      modelled: known && typeof sdk[e.name] === "function" && e instanceof sdk[e.name],
      message: e.message,
      requestId: e.$metadata && e.$metadata.requestId,
      status: e.$metadata && e.$metadata.httpStatusCode,
    };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await call(JSON.parse(line, fromJson)), toJson) + "\n");
  }
})();
