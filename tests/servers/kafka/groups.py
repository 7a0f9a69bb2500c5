"""Groups through librdkafka.

groups.py BOOTSTRAP lag GROUP                      a line of JSON for each partition with a position, in order
groups.py BOOTSTRAP member GROUP PROTOCOL TOPIC    joins (PROTOCOL: classic or consumer, KIP-848), prints its partitions, and stays until
                                                   standard input ends
groups.py BOOTSTRAP transaction TOPIC PARTITION    sends three messages in a transaction, prints a line, and stays; a line `commit` or
                                                   `abort` on standard input ends it
groups.py BOOTSTRAP fill TOPICS GROUPS             creates topics of four partitions, and groups with fifty positions in them
"""

import json
import sys
import threading

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

BOOTSTRAP, ACTION, *REST = sys.argv[1:]


def lag(group):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    places = sorted((place.topic, place.partition, place.offset) for place in asked.topic_partitions)
    ends = {}
    for name, spec, isolation in [
        ("start", OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED),
        ("end", OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED),
        ("stable", OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
    ]:
        wanted = {TopicPartition(topic, partition): spec for topic, partition, _ in places}
        found = admin.list_offsets(wanted, isolation_level=isolation) if wanted else {}
        for place, future in found.items():
            ends.setdefault((place.topic, place.partition), {})[name] = future.result().offset
    for topic, partition, offset in places:
        row = {"topic": topic, "partition": partition, "committed": offset if offset >= 0 else None}
        print(json.dumps(row | ends[(topic, partition)]))


def member(group, protocol, topic):
    consumer = Consumer(
        {"bootstrap.servers": BOOTSTRAP, "group.id": group, "group.protocol": protocol, "client.id": "python", "enable.auto.commit": False}
    )
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    consumer.subscribe([topic], on_assign=lambda _, places: print(sorted(place.partition for place in places), flush=True))
    while not over.is_set():
        consumer.poll(0.1)
    consumer.close()


def transaction(topic, partition):
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": f"{topic}-{partition}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(3):
        producer.produce(topic, value=str(number), partition=int(partition))
    assert producer.flush(30) == 0
    print("open", flush=True)
    for line in sys.stdin:
        producer.commit_transaction(30) if line.strip() == "commit" else producer.abort_transaction(30)
        print("over", flush=True)
        break


def fill(topics, groups):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    names = [f"t{number:05d}.orders.events" for number in range(int(topics))]
    for at in range(0, len(names), 250):
        for made in admin.create_topics([NewTopic(name, 4, 1) for name in names[at : at + 250]], operation_timeout=60).values():
            made.result()
    places = [(name, partition) for name in names for partition in range(4)]
    for group in range(int(groups)):
        positions = [TopicPartition(*places[(group * 350 + place) % len(places)], 0) for place in range(50)]
        wanted = [ConsumerGroupTopicPartitions(f"group-{group:05d}", positions)]
        while True:
            try:
                for future in admin.alter_consumer_group_offsets(wanted, request_timeout=10).values():
                    future.result()
                break
            except KafkaException:
                # A client that asked before the coordinators were there waits for them in vain; another one does not.
                admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


{"lag": lag, "fill": fill, "member": member, "transaction": transaction}[ACTION](*REST)
