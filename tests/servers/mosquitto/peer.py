"""Another language's client (paho-mqtt) beside mqdeck. Each line of output is JSON or a single word.

peer.py publish PORT TOPIC COUNT QOS VERSION   publishes "0", "1", … and ends when all are acknowledged
peer.py flood PORT TOPIC COUNT QOS             publishes as many at QoS 0 or 1 as fast as the broker takes them
peer.py rich PORT TOPIC                        publishes one message with everything that MQTT 5 can say of it
peer.py take PORT FILTER COUNT                 "ready" once subscribed, then that many messages
peer.py answer PORT TOPIC                      "ready", then answers every request twice until its input ends
"""
import json
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def say(what):
    print(what, flush=True)


def connect(port, version=mqtt.MQTTv5):
    up = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    client.on_connect = lambda *_: up.set()
    client.connect("127.0.0.1", int(port))
    client.loop_start()
    assert up.wait(10), "not connected"
    return client


def subscribe(client, topic, on_message):
    granted = threading.Event()
    client.on_subscribe = lambda *_: granted.set()
    client.on_message = on_message
    client.subscribe(topic, qos=2)
    assert granted.wait(10), "not subscribed"
    say("ready")


def publish(port, topic, count, qos, version):
    client = connect(port, {"5": mqtt.MQTTv5, "3": mqtt.MQTTv311}[version])
    sent = [client.publish(topic, str(n), int(qos)) for n in range(int(count))]
    for info in sent:
        info.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    say(len(sent))


def hear(broker, size):
    while size > 0:
        size -= len(broker.recv(size))


def flood(port, topic, count, qos):
    """Without paho, which is slower than a broker: MQTT 3.1.1 written by hand."""
    name = topic.encode()
    with socket.create_connection(("127.0.0.1", int(port))) as broker:
        broker.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        assert broker.recv(4) == b"\x20\x02\x00\x00", "not connected"
        name = bytes([0, len(name)]) + name
        head = bytes([0x32, len(name) + 18]) + name if qos == "1" else bytes([0x30, len(name) + 16]) + name
        number = (lambda n: (n % 65535 + 1).to_bytes(2, "big")) if qos == "1" else lambda n: b""
        answers = threading.Thread(target=hear, args=(broker, 4 * int(count) * int(qos) + 2))
        answers.start()
        for start in range(0, int(count), 1000):
            broker.sendall(b"".join(head + number(n) + b"%016d" % n for n in range(start, min(start + 1000, int(count)))))
        # Its answer stands behind those to all of them.
        broker.sendall(b"\xc0\x00")
        answers.join()
    say(count)


def rich(port, topic):
    client = connect(port)
    said = Properties(PacketTypes.PUBLISH)
    said.PayloadFormatIndicator = 1
    said.MessageExpiryInterval = 600
    said.ContentType = "application/json"
    said.ResponseTopic = "answers/ü"
    said.CorrelationData = b"\x00\xff"
    said.UserProperty = [("b", "2"), ("a", "1"), ("b", "2"), ("empty", "")]
    client.publish(topic, '{"n":9007199254740993}', 2, False, said).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
    say("done")


def take(port, topic, count):
    over, left = threading.Event(), [int(count)]

    def took(_client, _data, message):
        p = message.properties
        say(json.dumps({
            "topic": message.topic,
            "payload": message.payload.hex(),
            "qos": message.qos,
            "retain": message.retain,
            "text": getattr(p, "PayloadFormatIndicator", 0) == 1,
            "expiry": getattr(p, "MessageExpiryInterval", None),
            "content_type": getattr(p, "ContentType", None),
            "response_topic": getattr(p, "ResponseTopic", None),
            "correlation": getattr(p, "CorrelationData", b"").hex(),
            "user": getattr(p, "UserProperty", []),
        }))
        left[0] -= 1
        if left[0] == 0:
            over.set()

    client = connect(port)
    subscribe(client, topic, took)
    assert over.wait(30), "not everything came"
    client.disconnect()
    client.loop_stop()


def answer(port, topic):
    client = connect(port)

    def asked(_client, _data, message):
        said = Properties(PacketTypes.PUBLISH)
        said.CorrelationData = message.properties.CorrelationData
        for n in (1, 2):
            client.publish(message.properties.ResponseTopic, f"{n}: {message.payload.decode()}", 1, False, said)

    subscribe(client, topic, asked)
    sys.stdin.read()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
