package serinus.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/** Windowed aggregation by Kafka Streams' own DSL with one thread: arguments BROKERS TOPIC EVENTS FOLDER. */
public final class Peer {
  private static final Duration PANE = Duration.ofSeconds(10);
  private static final Duration GRACE = Duration.ofSeconds(30);

  private final long total;
  private final long warm;
  private final CountDownLatch done = new CountDownLatch(1);
  private final Map<String, Long> counts = new ConcurrentHashMap<>();
  private long seen;
  private long begunNs;
  private long endedNs;
  private long begunCpuNs;
  private long endedCpuNs;

  private Peer(long total) {
    this.total = total;
    this.warm = total / 4;
  }

  public static void main(String[] arguments) throws InterruptedException {
    Peer peer = new Peer(Long.parseLong(arguments[2]));
    StreamsBuilder builder = new StreamsBuilder();
    peer.build(builder, arguments[1]);
    try (KafkaStreams streams = new KafkaStreams(builder.build(), properties(arguments[0], arguments[1], arguments[3]))) {
      streams.start();
      if (!peer.done.await(10, TimeUnit.MINUTES)) {
        throw new IllegalStateException("saw " + peer.seen + " of " + peer.total + " events");
      }
    }
    // Closing has committed, and so emptied the cache into the last results.
    System.out.println(peer.report());
  }

  private void build(StreamsBuilder builder, String topic) {
    Serde<Event> events = Serdes.serdeFrom((name, event) -> null, new Event.Json());
    builder.stream(
            topic,
            Consumed.with(Serdes.String(), events)
                .withTimestampExtractor((record, before) -> ((Event) record.value()).tsMs()))
        .groupByKey(Grouped.with(Serdes.String(), events))
        .windowedBy(TimeWindows.ofSizeAndGrace(PANE, GRACE))
        .aggregate(
            Cell::new,
            (key, event, cell) -> count(cell.add(event)),
            Materialized.<String, Cell>as(
                    Stores.inMemoryWindowStore("cells", Duration.ofMinutes(5), PANE, false))
                .withKeySerde(Serdes.String())
                .withValueSerde(Cell.serde())
                .withCachingEnabled())
        .toStream()
        .foreach((window, cell) -> counts.put(window.key() + "|" + window.window().start() / PANE.toMillis(), cell.n));
  }

  /** Only the one stream thread comes here. */
  private Cell count(Cell cell) {
    seen++;
    if (seen == warm) {
      begunNs = System.nanoTime();
      begunCpuNs = cpuNs();
    }
    if (seen == total) {
      endedNs = System.nanoTime();
      endedCpuNs = cpuNs();
      done.countDown();
    }
    return cell;
  }

  private static long cpuNs() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static Properties properties(String brokers, String topic, String folder) {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + topic + "-" + System.nanoTime());
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    properties.put(StreamsConfig.STATE_DIR_CONFIG, folder);
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    // What the memory and throughput pages of its documentation advise.
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L * 1024 * 1024);
    properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 8 * 1024 * 1024);
    properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    return properties;
  }

  private String report() {
    String cells =
        new TreeMap<>(counts)
            .entrySet().stream()
                .map(cell -> "\"" + cell.getKey() + "\":" + cell.getValue())
                .collect(Collectors.joining(","));
    return "{\"events\":" + (total - warm)
        + ",\"seconds\":" + (endedNs - begunNs) / 1e9
        + ",\"cpu_seconds\":" + (endedCpuNs - begunCpuNs) / 1e9
        + ",\"counts\":{" + cells + "}}";
  }
}
