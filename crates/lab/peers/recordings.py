"""Writes recordings with the PyPI packages rosbags and mcap, and tells what their readers say of them.

    python recordings.py FOLDER

Prints one JSON object: for each file or folder in FOLDER, what a description of it must have.
"""

import json
import pathlib
import sys
from collections import Counter

from mcap.exceptions import EndOfFile
from mcap.reader import NonSeekingReader, make_reader
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Reader as BagReader
from rosbags.rosbag1 import Writer as BagWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Reader as FolderReader
from rosbags.rosbag2 import Writer as FolderWriter
from rosbags.typesys import Stores, get_typestore

FOLDER = pathlib.Path(sys.argv[1])
BEGIN = 1_700_000_000_000_000_123
# Topics of a Duckiebot, with the number of messages of each and their size.
TOPICS = [
    ("/duck/camera_node/image/compressed", "sensor_msgs/msg/CompressedImage", 300, 20_000),
    ("/duck/joy_node/joy", "sensor_msgs/msg/Joy", 1_000, 40),
    ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", 7, 100),
    ("/duck/fsm_node/mode", "std_msgs/msg/String", 0, 0),
]


def messages(begin, interval):
    """Yields (topic, time, data) of all messages, in the order of their times."""
    found = []
    for topic, _, count, size in TOPICS:
        found += [(begin + number * interval, topic, size) for number in range(count)]
    for time, topic, size in sorted(found):
        # Hardly compressible, so that chunks are filled.
        yield topic, time, (time.to_bytes(8, "little") * (size // 8 + 1))[:size]


def said(start, end, topics, **more):
    """Returns what a description must have. Topics are [name, type, number of messages]."""
    count = sum(topic[2] for topic in topics)
    times = {"from": start, "until": end} if count else {"from": None, "until": None}
    return {**times, "messages": count, "topics": sorted(topics), **more}


# ROS 1


def plain(name):
    """Returns the name of a type as ROS 1 writes it."""
    return name.replace("/msg/", "/")


def bag_says(path):
    with BagReader(path) as bag:
        topics = [[name, plain(info.msgtype), info.msgcount] for name, info in bag.topics.items()]
        # The reader's end is one nanosecond after the last message.
        return said(bag.start_time, bag.end_time - 1, topics)


def write_bag(name, compression=None, begin=BEGIN, interval=10**7, topics=TOPICS, chunk_size=None, cut=False):
    path = FOLDER / name
    store = get_typestore(Stores.ROS1_NOETIC)
    writer = BagWriter(path)
    if compression:
        writer.set_compression(compression)
    if chunk_size:
        writer.chunk_threshold = chunk_size
    writer.open()
    connections = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind, _, _ in topics}
    if topics:
        for topic, time, data in messages(begin, interval):
            writer.write(connections[topic], time, data)
    if not cut:
        writer.close()
        return {name: bag_says(path)}
    # Chunks that are on the disk when the power is lost.
    chunks = [chunk for chunk in writer.chunks if chunk.pos >= 0]
    counts = Counter()
    for chunk in chunks:
        counts.update({connection: len(entries) for connection, entries in chunk.connections.items()})
    writer.abort()
    topics = counted(writer.connections, counts)
    times = [min(chunk.start for chunk in chunks), max(chunk.end for chunk in chunks)]
    found = said(*times, topics, is_cut=True)
    # The names of topics are in the first chunk, and nothing is decompressed.
    hidden = {"topics": [], "is_partial": True} if compression else {}
    return {name: {**found, **hidden}}


def counted(connections, counts):
    """Returns the topics of a cut bag. A topic without messages in whole chunks is not sought."""
    return [[one.topic, plain(one.msgtype), counts[one.id]] for one in connections if counts[one.id]]


def cut_bag(source, name, chunks, more):
    """Copies the first chunks of a bag, and bytes of the next one. The index is then outside the file."""
    path = FOLDER / source
    with BagReader(path) as bag:
        places = [info.pos for info in bag.chunk_infos]
        whole = bag.chunk_infos[:chunks]
        counts = Counter()
        for info in whole:
            counts.update(info.connection_counts)
        # The reader's end of a chunk is one nanosecond after its last message.
        times = [min(one.start_time for one in whole), max(one.end_time for one in whole) - 1]
        found = said(*times, counted(bag.connections, counts), is_cut=True, fault="index_outside")
    (FOLDER / name).write_bytes(path.read_bytes()[: places[chunks] + more])
    return {name: found}


def bags():
    yield write_bag("plain.bag")
    yield write_bag("chunks.bag", chunk_size=100_000)
    yield write_bag("bz2.bag", BagWriter.CompressionFormat.BZ2)
    yield write_bag("lz4.bag", BagWriter.CompressionFormat.LZ4, chunk_size=100_000)
    yield write_bag("time-0.bag", begin=0, interval=0)
    yield write_bag("empty.bag", topics=[])
    yield write_bag("cut.bag.active", chunk_size=100_000, cut=True)
    yield write_bag("cut-lz4.bag", BagWriter.CompressionFormat.LZ4, chunk_size=100_000, cut=True)
    # Of the next chunk, only the begin of its header is there.
    yield cut_bag("chunks.bag", "copied.bag", 20, 30)


# MCAP


def summary_says(path):
    """Returns what the statistics say."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    statistics = summary.statistics
    topics = [
        [channel.topic, summary.schemas[channel.schema_id].name, statistics.channel_message_counts.get(number, 0)]
        for number, channel in summary.channels.items()
    ]
    return said(statistics.message_start_time, statistics.message_end_time, topics)


def messages_say(path, is_cut):
    """Returns what the messages say, up to the end of a file that was cut. Topics without messages are not seen."""
    counts, times = Counter(), []
    with path.open("rb") as file:
        try:
            for schema, channel, message in NonSeekingReader(file).iter_messages(log_time_order=False):
                counts[channel.topic, schema.name] += 1
                times.append(message.log_time)
        except EndOfFile:
            assert is_cut
    topics = [[topic, kind, count] for (topic, kind), count in counts.items()]
    return said(min(times), max(times), topics, is_cut=is_cut)


def write_mcap(name, begin=BEGIN, interval=10**7, topics=TOPICS, finish=True, **options):
    """Writes a file. Without a complete summary, the expectation comes from the messages."""
    path = FOLDER / name
    has_summary = finish and not any(value is False for key, value in options.items() if key != "use_chunking")
    with path.open("wb") as file:
        writer = McapWriter(file, **{"chunk_size": 100_000, "compression": CompressionType.NONE, **options})
        writer.start(profile="ros1", library="test")
        channels = {}
        for topic, kind, count, _ in topics:
            if count or has_summary:
                schema = writer.register_schema(kind, "ros1msg", b"# definition\n" * 50)
                channels[topic] = writer.register_channel(topic, "ros1", schema)
        for topic, time, data in messages(begin, interval) if topics else ():
            writer.add_message(channels[topic], time, data, time)
        if finish:
            writer.finish()
    return {name: summary_says(path) if has_summary else messages_say(path, is_cut=not finish)}


def mcaps():
    for compression in CompressionType:
        yield write_mcap(f"{compression.name.lower()}.mcap", compression=compression)
    yield write_mcap("no-chunks.mcap", use_chunking=False)
    yield write_mcap("time-0.mcap", begin=0, interval=0)
    yield write_mcap("empty.mcap", topics=[])
    yield write_mcap("no-statistics.mcap", use_statistics=False)
    yield write_mcap("no-channels.mcap", repeat_channels=False)
    yield write_mcap("no-schemas.mcap", repeat_schemas=False)
    bare = ["repeat_channels", "repeat_schemas", "use_statistics", "use_summary_offsets"]
    bare = {"index_types": IndexType.NONE, **dict.fromkeys(bare, False)}
    yield write_mcap("no-summary.mcap", **bare)
    yield write_mcap("no-summary-no-chunks.mcap", **bare, use_chunking=False)
    yield write_mcap("cut.mcap", finish=False)
    yield write_mcap("cut-no-index.mcap", finish=False, index_types=IndexType.NONE)
    yield write_mcap("cut-no-chunks.mcap", finish=False, use_chunking=False)
    lz4 = write_mcap("cut-lz4.mcap", finish=False, compression=CompressionType.LZ4)
    # The names are in compressed chunks.
    yield {"cut-lz4.mcap": {**lz4["cut-lz4.mcap"], "topics": [], "is_partial": True}}


# ROS 2


def folder_says(path, **more):
    with FolderReader(path) as folder:
        topics = [[name, info.msgtype, info.msgcount] for name, info in folder.topics.items()]
        return said(folder.start_time, folder.end_time - 1, topics, **more)


def write_folder(name, storage, version=9, mode=CompressionMode.NONE, topics=TOPICS, begin=BEGIN):
    path = FOLDER / name
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = FolderWriter(path, version=version, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind, _, _ in topics}
        for topic, time, data in messages(begin, 10**7) if topics else ():
            writer.write(connections[topic], time, data)
    return {name: folder_says(path)}


def without_metadata(name, storage, expected):
    """Writes a folder as it is after a loss of power: without metadata.yaml."""
    found = write_folder(name, storage)[name]
    (FOLDER / name / "metadata.yaml").unlink()
    return {name: {**found, "is_cut": True, **expected}}


def folders():
    for storage in StoragePlugin:
        kind = storage.name.lower()
        for version in (8, 9):
            yield write_folder(f"{kind}-{version}", storage, version)
        yield write_folder(f"{kind}-empty", storage, topics=[])
    yield write_folder("file-compressed", StoragePlugin.SQLITE3, mode=CompressionMode.FILE)
    yield write_folder("message-compressed", StoragePlugin.SQLITE3, mode=CompressionMode.MESSAGE)
    yield write_folder("storage-compressed", StoragePlugin.MCAP, mode=CompressionMode.STORAGE)
    yield without_metadata("mcap-cut", StoragePlugin.MCAP, {})
    unknown = {"from": None, "until": None, "messages": 0, "topics": [], "is_partial": True}
    yield without_metadata("sqlite3-cut", StoragePlugin.SQLITE3, unknown)
    # Some recorders leave the name of the storage empty (rosbag2#2175).
    found = write_folder("no-storage-name", StoragePlugin.MCAP)
    metadata = FOLDER / "no-storage-name" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("storage_identifier: mcap", "storage_identifier: ''"))
    yield found


everything = {}
for group in (bags, mcaps, folders):
    for recording in group():
        everything.update(recording)
print(json.dumps(everything))
