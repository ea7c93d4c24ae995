use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use super::super::testing::{DATA, Driver, MEMORY};
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Where tests have buffers for packets to come, and packets to go.
const COMING: u64 = DATA;
const GOING: u64 = DATA + (2 << 20);

struct Bench {
    net: Net,
    driver: Driver,
    /// The other end of what stands for the tap.
    wire: UnixDatagram,
}

fn bench(features: u64) -> Bench {
    let (tap, wire) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    wire.set_nonblocking(true).unwrap();
    let mut net = Net::new(File::from(OwnedFd::from(tap)), MAC, 1500);
    net.activate(features);
    Bench { net, driver: Driver::new(2), wire }
}

impl Bench {
    /// Makes buffers of so many bytes ready, one behind the other with a gap between them.
    fn make_room(&mut self, count: u64, length: u32) {
        for number in 0..count {
            let at = COMING + number * u64::from(length + 64);
            self.driver.write(at + u64::from(length), &[0xee; 64]);
            self.driver.add(0, &[(at, length, true)]);
        }
        self.net.serve(0, &mut self.driver.queues()).unwrap();
    }

    fn arrive(&mut self, packet: &[u8]) {
        self.wire.send(packet).unwrap();
        self.net.changed(0, &mut self.driver.queues()).unwrap();
    }

    fn transmit(&mut self, parts: &[(u64, u32, bool)]) {
        self.driver.add(1, parts);
        self.net.serve(1, &mut self.driver.queues()).unwrap();
    }

    fn heard(&self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 1 << 17];
        let length = self.wire.recv(&mut packet).ok()?;
        packet.truncate(length);
        Some(packet)
    }

    fn count(&self, name: &str) -> u64 {
        let place = COUNTS.iter().position(|known| *known == name).unwrap();
        self.net.counts()[place]
    }
}

fn packet(length: usize, fill: u8) -> Vec<u8> {
    [vec![0; HEADER], vec![fill; length]].concat()
}

#[test]
fn packets_go_both_ways() {
    let mut bench = bench(0);
    bench.make_room(2, 2048);
    bench.arrive(&packet(60, 7));
    assert_eq!(bench.driver.done(0), [(0, 72)]);
    let got = bench.driver.read(COMING, 72);
    assert_eq!(got[10..12], [1, 0], "one buffer");
    assert_eq!(got[12..], [7; 60]);
    bench.driver.write(GOING, &packet(100, 9));
    bench.transmit(&[(GOING, 5, false), (GOING + 5, 107, false)]);
    assert_eq!(bench.heard(), Some(packet(100, 9)));
    assert_eq!(bench.driver.done(1), [(0, 0)]);
    assert_eq!(bench.net.counts(), [1, 60, 1, 100, 0]);
}

#[test]
fn a_large_packet_goes_over_several_buffers_that_are_told_of_together() {
    let mut bench = bench(feature::MERGED_BUFFERS | feature::GUEST_TSO4 | feature::GUEST_CHECKSUM);
    bench.make_room(90, 1536);
    let large: Vec<u8> = (0..40_000_u32).map(|byte| (byte % 251) as u8).collect();
    bench.arrive(&[vec![0; HEADER], large.clone()].concat());
    let done = bench.driver.done(0);
    let count = (HEADER + large.len()).div_ceil(1536);
    assert_eq!(done.len(), count);
    assert_eq!(
        done.iter().map(|(_, length)| *length as usize).sum::<usize>(),
        large.len() + HEADER
    );
    let mut got = Vec::new();
    for (number, (_, length)) in (0..).zip(&done) {
        let at = COMING + number * (1536 + 64);
        got.extend(bench.driver.read(at, *length as usize));
        assert_eq!(bench.driver.read(at + 1536, 64), [0xee; 64], "nothing behind a buffer");
    }
    assert_eq!(u16::from_le_bytes([got[10], got[11]]) as usize, count);
    assert_eq!(got[HEADER..], large);
    // The next one begins in a buffer of its own.
    bench.arrive(&packet(60, 5));
    assert_eq!(bench.driver.done(0), [(count as u16, 72)]);
}

/// CVE-2020-16843: a ring without room stopped packets for ever.
#[test]
fn packets_wait_until_there_is_room() {
    for features in [0, feature::MERGED_BUFFERS] {
        let mut bench = bench(features);
        for number in 0..5 {
            bench.arrive(&packet(60, number));
        }
        assert_eq!(bench.driver.done(0), []);
        // Room for one and no more; then for the rest.
        bench.make_room(1, 2048);
        assert_eq!(bench.driver.done(0).len(), 1);
        bench.make_room(4, 2048);
        assert_eq!(bench.driver.done(0).len(), 4);
        bench.make_room(1, 2048);
        bench.arrive(&packet(60, 9));
        assert_eq!(bench.driver.done(0).len(), 1);
        assert_eq!((bench.count("rx_packets"), bench.count("dropped")), (6, 0));
    }
}

#[test]
fn what_the_tap_does_not_take_waits() {
    let mut bench = bench(0);
    bench.driver.write(GOING, &packet(1400, 3));
    let mut sent = 0_usize;
    while bench.net.waiting.is_none() {
        bench.transmit(&[(GOING, 1412, false)]);
        sent += 1;
        assert!(sent < 200, "the tap takes all");
    }
    assert_eq!(bench.driver.done(1).len(), sent - 1);
    bench.transmit(&[(GOING, 1412, false)]);
    assert_eq!(bench.driver.done(1), [], "they keep their order");
    let mut heard = 0;
    while bench.heard().is_some() {
        heard += 1;
    }
    bench.net.changed(0, &mut bench.driver.queues()).unwrap();
    while bench.heard().is_some() {
        heard += 1;
    }
    assert_eq!((heard, bench.driver.done(1).len()), (sent + 1, 2));
    assert_eq!(bench.count("tx_packets") as usize, sent + 1);
}

#[test]
fn what_is_no_packet_is_handed_back() {
    let mut bench = bench(0);
    bench.transmit(&[(GOING, 12, false)]);
    bench.transmit(&[(GOING, 60, true)]);
    bench.transmit(&[(MEMORY as u64 - 10, 60, false)]);
    bench.transmit(&[(u64::MAX - 10, 60, false)]);
    bench.transmit(&[(GOING, 70_000, false)]);
    bench.transmit(&[(GOING, u32::MAX, false), (GOING, u32::MAX, false)]);
    assert_eq!(bench.driver.done(1).len(), 6);
    assert_eq!(bench.heard(), None);
    assert_eq!(bench.count("dropped"), 6);
    // Buffers that hold no packet, or that only the driver writes.
    bench.make_room(1, 100);
    bench.driver.add(0, &[(COMING, 2048, false)]);
    bench.driver.add(0, &[(MEMORY as u64 - 10, 2048, true)]);
    bench.arrive(&packet(60, 1));
    assert_eq!(bench.driver.done(0).iter().map(|(_, length)| length).sum::<u32>(), 0);
    assert_eq!((bench.count("rx_packets"), bench.count("dropped")), (0, 9));
}

#[test]
fn what_it_has_taken_is_taken_again_by_another() {
    let mut bench = bench(feature::MERGED_BUFFERS);
    bench.make_room(3, 1000);
    bench.driver.write(GOING, &packet(1400, 3));
    while bench.net.waiting.is_none() {
        bench.transmit(&[(GOING, 1412, false)]);
    }
    bench.driver.done(1);
    bench.net.settle(&mut bench.driver.queues()).unwrap();
    let (tap, wire) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    bench.net = Net::new(File::from(OwnedFd::from(tap)), MAC, 1500);
    bench.wire = wire;
    bench.net.activate(feature::MERGED_BUFFERS);
    bench.net.serve(1, &mut bench.driver.queues()).unwrap();
    assert_eq!(bench.driver.done(1).len(), 1);
    assert_eq!(bench.heard(), Some(packet(1400, 3)));
    bench.arrive(&packet(60, 1));
    assert_eq!(bench.driver.done(0), [(0, 72)], "the first of the buffers");
}

#[test]
fn a_reset_forgets_buffers_and_packets() {
    let mut bench = bench(feature::MERGED_BUFFERS);
    bench.make_room(1, 1000);
    bench.net.reset();
    bench.driver = Driver::new(2);
    bench.net.activate(0);
    bench.make_room(1, 2048);
    bench.arrive(&packet(60, 1));
    assert_eq!(bench.driver.done(0), [(0, 72)]);
    assert_eq!(bench.driver.read(COMING + HEADER as u64, 60), [1; 60]);
}

#[test]
fn its_configuration_is_read_in_any_part() {
    let bench = bench(0);
    let mut config = [0xff; 14];
    bench.net.read_config(0, &mut config);
    assert_eq!(config, [2, 0, 0, 0, 0, 1, 0, 0, 1, 0, 220, 5, 255, 255]);
    let mut mtu = [0; 2];
    bench.net.read_config(10, &mut mtu);
    assert_eq!(u16::from_le_bytes(mtu), 1500);
    bench.net.read_config(u64::MAX, &mut mtu);
}

proptest::proptest! {
    /// Whatever a driver puts into its queues, packets only go where it said.
    #[test]
    fn no_driver_makes_it_panic(
        requests in proptest::collection::vec(
            (0_usize..2, 0_u64..1 << 23, 0_u32..1 << 17, proptest::bool::ANY, 0_usize..2000), 0..60),
        features in proptest::bits::u64::masked(0xffff),
    ) {
        let mut bench = bench(features);
        let guard = vec![0xee; 4096];
        let at = MEMORY as u64 - 4096;
        bench.driver.write(at, &guard);
        for (queue, address, length, writable, arrives) in requests {
            // The last page is nobody's.
            let address = if address + u64::from(length) > at && address < MEMORY as u64 { 1 << 30 } else { address.max(DATA) };
            bench.driver.add(queue, &[(address, length, writable), (DATA, 20, writable)]);
            bench.net.serve(queue as u16, &mut bench.driver.queues()).unwrap();
            let _ = bench.wire.send(&packet(arrives, 1));
            bench.net.changed(0, &mut bench.driver.queues()).unwrap();
            while bench.heard().is_some() {}
        }
        proptest::prop_assert_eq!(bench.driver.read(at, 4096), guard);
    }
}
