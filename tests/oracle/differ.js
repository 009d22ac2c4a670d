// A second opinion: what the CDK's own diff says about pairs of templates, all in one process.
//
// usage: node differ.js SPECIFICATION, with one {"before": ..., "after": ...} a line on standard input.
// Answers, a line each: {"replaced": [logical ids], "maybe": [logical ids]}.
"use strict";

const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const { gunzipSync } = require("node:zlib");
const { emptyDatabase } = require("@aws-cdk/service-spec-types");

// Both sides judge by the same edition of the specification, so that only their logic can differ.
require("@aws-cdk/aws-service-spec").loadAwsServiceSpecSync = () => {
  const database = emptyDatabase();
  database.load(JSON.parse(gunzipSync(readFileSync(process.argv[2])).toString("utf-8")));
  return database;
};
const { fullDiff, TemplateDiff } = require("@aws-cdk/cloudformation-diff");
// It reads policies and security groups as well, and stops at documents that are none.
TemplateDiff.prototype.scrutinizablePropertyChanges = () => [];
TemplateDiff.prototype.scrutinizableResourceChanges = () => [];

function judge({ before, after }) {
  const found = { WILL_REPLACE: [], MAY_REPLACE: [] };
  fullDiff(before, after).resources.forEachDifference((logicalId, change) => {
    found[change.changeImpact]?.push(logicalId);
  });
  return { replaced: found.WILL_REPLACE.sort(), maybe: found.MAY_REPLACE.sort() };
}

createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(judge(JSON.parse(line))) + "\n");
});
