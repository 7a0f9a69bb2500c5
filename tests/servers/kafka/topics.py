"""Prints every topic with its number of partitions: topics.py BOOTSTRAP"""

import sys

from confluent_kafka.admin import AdminClient

found = AdminClient({"bootstrap.servers": sys.argv[1]}).list_topics(timeout=10).topics
for name in sorted(found):
    print(name, len(found[name].partitions))
