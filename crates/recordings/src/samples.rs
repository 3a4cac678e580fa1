//! Small recordings for tests and for the fuzzer, valid or not.

/// Records of bags of ROS 1.
pub mod bag {
    /// Version of the format.
    pub const MAGIC: &[u8] = b"#ROSBAG V2.0\n";
    /// Size of a bag's first record with [`MAGIC`]. Real recorders fill it up to 4 KiB.
    pub const HEADER_BYTES: usize = 128;

    /// Returns bytes with their length before them.
    pub fn sized(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    /// Returns a field of a header.
    pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
        sized(&[name.as_bytes(), b"=", value].concat())
    }

    /// Returns a record.
    pub fn record(op: u8, fields: &[(&str, &[u8])], data: &[u8]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, value)| field(name, value));
        let header = fields.chain([field("op", &[op])]).collect::<Vec<_>>().concat();
        [sized(&header), sized(data)].concat()
    }

    /// Returns the first record, filled up to its size.
    pub fn header(index: u64, connections: u32, chunks: u32) -> Vec<u8> {
        let fields: [(&str, &[u8]); 3] = [
            ("index_pos", &index.to_le_bytes()),
            ("conn_count", &connections.to_le_bytes()),
            ("chunk_count", &chunks.to_le_bytes()),
        ];
        let empty = record(3, &fields, &[]).len() + MAGIC.len();
        record(3, &fields, &vec![b' '; HEADER_BYTES - empty])
    }

    /// Returns a connection.
    pub fn connection(id: u32, topic: &str, message_type: &str) -> Vec<u8> {
        let definition = "# definition\n".repeat(5);
        let data = [("message_definition", definition.as_str()), ("topic", topic), ("type", message_type)];
        let data = data.map(|(name, value)| field(name, value.as_bytes())).concat();
        record(7, &[("conn", &id.to_le_bytes()), ("topic", topic.as_bytes())], &data)
    }

    /// Returns a time of whole seconds.
    pub fn time(seconds: u32) -> Vec<u8> {
        [seconds.to_le_bytes(), [0; 4]].concat()
    }

    /// Returns a message.
    pub fn message(connection: u32, seconds: u32, size: usize) -> Vec<u8> {
        let fields: [(&str, &[u8]); 2] = [("conn", &connection.to_le_bytes()), ("time", &time(seconds))];
        record(2, &fields, &vec![7; size])
    }

    /// Returns a chunk.
    pub fn chunk(compression: &str, content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32).to_le_bytes();
        record(5, &[("compression", compression.as_bytes()), ("size", &size)], content)
    }

    /// Returns the index data of messages of one connection at these times.
    pub fn index_data(connection: u32, seconds: &[u32]) -> Vec<u8> {
        let entries: Vec<u8> = seconds.iter().flat_map(|at| [time(*at), vec![0; 4]].concat()).collect();
        let fields: [(&str, &[u8]); 3] = [
            ("ver", &1_u32.to_le_bytes()),
            ("conn", &connection.to_le_bytes()),
            ("count", &(seconds.len() as u32).to_le_bytes()),
        ];
        record(4, &fields, &entries)
    }

    /// Returns the information about a chunk: its place, its times, and the numbers of messages of its connections.
    pub fn chunk_info(place: u64, times: [u32; 2], counts: &[(u32, u32)]) -> Vec<u8> {
        let entries: Vec<u8> =
            counts.iter().flat_map(|(id, count)| [id.to_le_bytes(), count.to_le_bytes()].concat()).collect();
        let fields: [(&str, &[u8]); 5] = [
            ("ver", &1_u32.to_le_bytes()),
            ("chunk_pos", &place.to_le_bytes()),
            ("start_time", &time(times[0])),
            ("end_time", &time(times[1])),
            ("count", &(counts.len() as u32).to_le_bytes()),
        ];
        record(6, &fields, &entries)
    }

    /// Topics of a [`whole`] bag: their names and types.
    pub const TOPICS: [(&str, &str); 2] =
        [("/duck/camera_node/image/compressed", "sensor_msgs/CompressedImage"), ("/tf", "tf/tfMessage")];
    /// Time of the first message of a [`whole`] bag.
    pub const BEGIN: u32 = 1_700_000_000;

    /// Returns one chunk of a [`whole`] bag with its index data. It has two messages of the first topic and one of the
    /// second one, a second apart.
    pub fn chunk_with_index(number: u32, compression: &str) -> Vec<u8> {
        let at = BEGIN + 10 * number;
        let connections = TOPICS.iter().zip(0..).map(|((topic, kind), id)| connection(id, topic, kind));
        let mut content = if number == 0 { connections.collect::<Vec<_>>().concat() } else { Vec::new() };
        content.extend([message(0, at, 40), message(1, at + 1, 3), message(0, at + 2, 60)].concat());
        [chunk(compression, &content), index_data(0, &[at, at + 2]), index_data(1, &[at + 1])].concat()
    }

    /// Returns a closed bag with so many chunks.
    pub fn whole(chunks: u32, compression: &str) -> Vec<u8> {
        let (mut content, mut infos) = (Vec::new(), Vec::new());
        for number in 0..chunks {
            let at = BEGIN + 10 * number;
            let place = HEADER_BYTES + content.len();
            infos.extend(chunk_info(place as u64, [at, at + 2], &[(0, 2), (1, 1)]));
            content.extend(chunk_with_index(number, compression));
        }
        let connections = TOPICS.iter().zip(0..).map(|((topic, kind), id)| connection(id, topic, kind));
        let index = (HEADER_BYTES + content.len()) as u64;
        let header = header(index, TOPICS.len() as u32, chunks);
        [MAGIC, &header, &content, &connections.collect::<Vec<_>>().concat(), &infos].concat()
    }

    /// Returns a bag that was not closed, with so many chunks.
    pub fn open(chunks: u32, compression: &str) -> Vec<u8> {
        let chunks = (0..chunks).flat_map(|number| chunk_with_index(number, compression));
        [MAGIC, &header(0, 0, 0), &chunks.collect::<Vec<_>>()].concat()
    }
}

/// Records of MCAP files.
pub mod mcap {
    /// Begin and end of a file.
    pub const MAGIC: &[u8] = b"\x89MCAP0\r\n";
    /// Time of the first message of a [`whole`] file, in nanoseconds.
    pub const BEGIN: u64 = 1_700_000_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// Returns a record.
    pub fn record(op: u8, content: &[u8]) -> Vec<u8> {
        [&[op], &(content.len() as u64).to_le_bytes()[..], content].concat()
    }

    /// Returns bytes with their length before them.
    pub fn sized(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    /// Returns the header of a file.
    pub fn header() -> Vec<u8> {
        record(1, &[sized(b"ros1"), sized(b"test")].concat())
    }

    /// Returns a schema.
    pub fn schema(id: u16, name: &str) -> Vec<u8> {
        let definition = "# definition\n".repeat(5);
        let texts = [sized(name.as_bytes()), sized(b"ros1msg"), sized(definition.as_bytes())].concat();
        record(3, &[&id.to_le_bytes()[..], &texts].concat())
    }

    /// Returns a channel.
    pub fn channel(id: u16, schema: u16, topic: &str) -> Vec<u8> {
        let texts = [sized(topic.as_bytes()), sized(b"ros1"), sized(&[])].concat();
        record(4, &[&id.to_le_bytes()[..], &schema.to_le_bytes(), &texts].concat())
    }

    /// Returns a message.
    pub fn message(channel: u16, time: u64, size: usize) -> Vec<u8> {
        let time = time.to_le_bytes();
        record(5, &[&channel.to_le_bytes()[..], &[0; 4], &time, &time, &vec![7; size]].concat())
    }

    /// Returns a chunk.
    pub fn chunk(times: [u64; 2], compression: &str, records: &[u8]) -> Vec<u8> {
        let size = (records.len() as u64).to_le_bytes();
        let times = times.map(u64::to_le_bytes).concat();
        record(6, &[&times[..], &size, &[0; 4], &sized(compression.as_bytes()), &size, records].concat())
    }

    /// Returns the index of messages of one channel in a chunk.
    pub fn message_index(channel: u16, times: &[u64]) -> Vec<u8> {
        let entries: Vec<u8> = times.iter().flat_map(|time| [time.to_le_bytes(), [0; 8]].concat()).collect();
        record(7, &[&channel.to_le_bytes()[..], &sized(&entries)].concat())
    }

    /// Returns the index of a chunk.
    pub fn chunk_index(times: [u64; 2], place: u64, length: u64) -> Vec<u8> {
        let times = times.map(u64::to_le_bytes).concat();
        let rest = [sized(&[]), vec![0; 8], sized(&[]), vec![0; 16]].concat();
        record(8, &[&times[..], &place.to_le_bytes(), &length.to_le_bytes(), &rest].concat())
    }

    /// Returns the statistics: the times, and the numbers of messages of the channels.
    pub fn statistics(messages: u64, times: [u64; 2], counts: &[(u16, u64)]) -> Vec<u8> {
        let counts: Vec<u8> = counts
            .iter()
            .flat_map(|(id, count)| [&id.to_le_bytes()[..], &count.to_le_bytes()].concat())
            .collect();
        let times = times.map(u64::to_le_bytes).concat();
        record(11, &[&messages.to_le_bytes()[..], &[0; 18], &times, &sized(&counts)].concat())
    }

    /// Returns the footer with the place of the summary, and the end of the file.
    pub fn footer(summary: u64) -> Vec<u8> {
        [&record(2, &[&summary.to_le_bytes()[..], &[0; 12]].concat()), MAGIC].concat()
    }

    /// Topics of a [`whole`] file: their names and types.
    pub const TOPICS: [(&str, &str); 2] = [
        ("/duck/camera_node/image/compressed", "sensor_msgs/CompressedImage"),
        ("/tf", "tf2_msgs/TFMessage"),
    ];

    /// Returns the schemas and channels of [`TOPICS`], with numbers from 1.
    pub fn channels() -> Vec<u8> {
        let channels = TOPICS.iter().zip(1..);
        channels.flat_map(|((topic, kind), id)| [schema(id, kind), channel(id, id, topic)].concat()).collect()
    }

    /// Returns the times of a chunk of a [`whole`] file.
    pub fn times(number: u64) -> [u64; 2] {
        let at = BEGIN + 10 * number * SECOND;
        [at, at + 2 * SECOND]
    }

    /// Returns one chunk of a [`whole`] file. It has two messages of the first topic and one of the second one.
    pub fn chunk_of(number: u64, compression: &str) -> Vec<u8> {
        let [from, until] = times(number);
        let mut records = if number == 0 { channels() } else { Vec::new() };
        records.extend([message(1, from, 40), message(2, from + SECOND, 3), message(1, until, 60)].concat());
        chunk([from, until], compression, &records)
    }

    /// Returns the message indexes of a chunk of a [`whole`] file.
    pub fn indexes(number: u64) -> Vec<u8> {
        let [from, until] = times(number);
        [message_index(1, &[from, until]), message_index(2, &[from + SECOND])].concat()
    }

    /// Returns a file that was not closed, with so many chunks.
    pub fn open(chunks: u64, compression: &str) -> Vec<u8> {
        let chunks = (0..chunks).flat_map(|number| [chunk_of(number, compression), indexes(number)].concat());
        [MAGIC, &header(), &chunks.collect::<Vec<_>>()].concat()
    }

    /// Returns the indexes of all chunks of a [`whole`] file.
    pub fn chunk_indexes(chunks: u64, compression: &str) -> Vec<u8> {
        let mut place = MAGIC.len() + header().len();
        let mut found = Vec::new();
        for number in 0..chunks {
            let length = chunk_of(number, compression).len();
            found.extend(chunk_index(times(number), place as u64, length as u64));
            place += length + indexes(number).len();
        }
        found
    }

    /// Returns a file with this summary.
    pub fn closed(mut content: Vec<u8>, summary: &[u8]) -> Vec<u8> {
        content.extend(record(15, &[0; 4]));
        let place = content.len() as u64;
        [&content, summary, &footer(if summary.is_empty() { 0 } else { place })].concat()
    }

    /// Returns the statistics of a [`whole`] file.
    pub fn statistics_of(chunks: u64) -> Vec<u8> {
        let times = [BEGIN, times(chunks.saturating_sub(1))[1]];
        statistics(3 * chunks, times, &[(1, 2 * chunks), (2, chunks)])
    }

    /// Returns a closed file with so many chunks.
    pub fn whole(chunks: u64, compression: &str) -> Vec<u8> {
        let summary = [channels(), statistics_of(chunks), chunk_indexes(chunks, compression)].concat();
        closed(open(chunks, compression), &summary)
    }
}

/// Returns the `metadata.yaml` of a folder of ROS 2 with one part and two topics.
pub fn metadata(part: &str) -> String {
    format!(
        "rosbag2_bagfile_information:
  version: 5
  storage_identifier: mcap
  relative_file_paths:
    - {part}
  duration:
    nanoseconds: 12000000000
  starting_time:
    nanoseconds_since_epoch: 1700000000000000000
  message_count: 6
  topics_with_message_count:
    - topic_metadata:
        name: /duck/camera_node/image/compressed
        type: sensor_msgs/msg/CompressedImage
        serialization_format: cdr
        offered_qos_profiles: \"- history: 3\\n  depth: 0\"
      message_count: 4
    - topic_metadata:
        name: /tf
        type: tf2_msgs/msg/TFMessage
        serialization_format: cdr
        offered_qos_profiles: \"\"
      message_count: 2
  compression_format: \"\"
  compression_mode: \"\"
"
    )
}
