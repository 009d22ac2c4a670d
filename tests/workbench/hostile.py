"""Two sides of a stranger's who puts things into names and values that a report must show and never obey."""

from __future__ import annotations

from typing import Any

from workbench.compare import Comparison, compare, facts
from workbench.templates import Assembly, StackTemplate
from workbench.usage import named

TEXTS = (
    "<img src=x onerror=alert(1)>",
    "</details></summary></table><script>alert(1)</script>",
    "[here](http://evil.example) ![it](http://evil.example/a.png)",
    "http://evil.example/ www.evil.example me@evil.example",
    "| a | b |\n| - | - |\n\n# heading",
    "`code` **bold** ~~gone~~ ```",
    "@somebody #1 somebody/thing#1 $x$ &lt;b&gt;",
    "\x1b[31mred\x1b[0m \x9b31m \x07",
    "\u202eright to left\u2066 \u200bnothing\u2028line",
    "{{ 7 * 7 }} {% if %}",
    "' onmouseover='alert(1)' \" style=\"x",
    "long " * 2_000,
)


def comparison(text: str, label: str | None = None) -> Comparison:
    """Everything that can be named or said in a template says `text`."""
    first, second = (_assembly(text, number) for number in (1, 2))
    name = text if label is None else label
    usage = named("moderate")
    return compare(facts(f"before {name}", first, usage), facts(f"after {name}", second, usage))


def _assembly(text: str, number: int) -> Assembly:
    tagged = [{"Key": text, "Value": f"{text}{number}"}]
    body: dict[str, Any] = {
        f"{text}Bucket{number}": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": text, "Tags": tagged}},
        f"{text}Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": f"{text}{number}"}},
        f"{text}Type{number}": {"Type": f"AWS::{text}::Thing", "Properties": {text: text}},
        f"{text}Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": text,
                "SecurityGroupIngress": [
                    {"IpProtocol": text, "FromPort": text, "ToPort": number, "CidrIp": text, "Description": text},
                    {"IpProtocol": "tcp", "FromPort": number, "ToPort": number, "CidrIp": "0.0.0.0/0"},
                ],
            },
        },
        f"{text}Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"{text}{number}"}, "Action": text}]
                },
                "Policies": [
                    {
                        "PolicyName": text,
                        "PolicyDocument": {
                            "Statement": [
                                {
                                    "Effect": text,
                                    "Action": [f"{text}{number}", "s3:*"],
                                    "Resource": text,
                                    "Condition": {text: {text: text}},
                                }
                            ]
                        },
                    }
                ],
            },
        },
        f"{text}Host{number}": {
            "Type": "AWS::EC2::Instance",
            "Properties": {"InstanceType": text, "ImageId": f"{text}{number}"},
        },
        f"{text}Database": {
            "Type": "AWS::RDS::DBInstance",
            "Properties": {
                "DBInstanceClass": f"{text}{number}",
                "Engine": text,
                "DBInstanceIdentifier": text + str(number),
            },
            "Metadata": {"aws:cdk:path": f"{text}/{text}/Resource"},
        },
    }
    outputs = {text: {"Value": f"{text}{number}", "Export": {"Name": text}}}
    stack = StackTemplate(text, text, {"Resources": body, "Outputs": outputs}, region=text)
    return Assembly((stack,))
