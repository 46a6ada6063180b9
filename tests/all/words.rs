//! Choices written as words, as the arguments of a program have them.

use offheap::{Strategy, config::MemoryMode};

#[test]
fn every_strategy_and_mode_is_a_word_and_comes_back_from_it() {
    for (strategy, word) in
        [(Strategy::SmallestFit, "smallest-fit"), (Strategy::LargestFit, "largest-fit")]
    {
        assert_eq!((strategy.to_string().as_str(), word.parse()), (word, Ok(strategy)));
    }
    for (mode, word) in [(MemoryMode::OffHeap, "off-heap"), (MemoryMode::Heap, "heap")] {
        assert_eq!((mode.to_string().as_str(), word.parse()), (word, Ok(mode)));
    }
    assert_eq!(
        format!("{:>8}|{:<9}|", MemoryMode::Heap, MemoryMode::OffHeap),
        "    heap|off-heap |"
    );
}

#[test]
fn any_other_word_is_refused_by_name() {
    for word in ["", "SmallestFit", "smallest_fit", "Smallest-fit", " heap", "heap ", "largest"] {
        let refused = word.parse::<Strategy>().unwrap_err();
        let text = format!("a strategy of `{word}` is not smallest-fit or largest-fit");
        assert_eq!(refused.to_string(), text);
        let refused = word.parse::<MemoryMode>().unwrap_err();
        assert_eq!(refused.to_string(), format!("a mode of `{word}` is not off-heap or heap"));
    }
}
